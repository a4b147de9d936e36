{{/*
A Job around one of files/*.py, with an account of its own. Takes (dict "root" $ "name" "uninstall" "script"
"cancel_executions.py" "args" (list ..) "seconds" 120 "event" "pre-delete"); without an event it is a part of the release.
*/}}
{{- define "carrel.job" -}}
{{- $name := include "carrel.fullname" .root }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $name }}-{{ .name }}
  labels:
    {{- include "carrel.labels" .root | nindent 4 }}
  {{- with .event }}
  annotations:
    helm.sh/hook: {{ . }}
    helm.sh/hook-weight: "-5"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
  {{- end }}
spec:
  {{- if not .event }}
  ttlSecondsAfterFinished: 600
  {{- end }}
  backoffLimit: 3
  activeDeadlineSeconds: {{ .seconds }}
  template:
    spec:
      restartPolicy: Never
      serviceAccountName: {{ $name }}-{{ .name }}
      automountServiceAccountToken: true
      {{- include "carrel.pullSecrets" .root | nindent 6 }}
      securityContext: {{- include "carrel.podSecurity" .root | nindent 8 }}
      containers:
      - name: {{ .name }}
        image: {{ include "carrel.image" (dict "image" .root.Values.executor.image "root" .root) }}
        imagePullPolicy: {{ .root.Values.executor.image.pullPolicy }}
        command: [python3, -I, -u, -c]
        args:
        - |
          {{- .root.Files.Get "files/kube_api.py" | nindent 10 }}

          {{- .root.Files.Get (printf "files/%s" .script) | nindent 10 }}
        {{- range .args }}
        - {{ . | quote }}
        {{- end }}
        resources:
          requests: {cpu: 10m, memory: 64Mi}
          limits: {memory: 256Mi}
        securityContext: {{- include "carrel.containerSecurity" .root | nindent 10 }}
{{- end }}

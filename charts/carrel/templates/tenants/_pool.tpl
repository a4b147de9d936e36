{{/* The pool of a tenant. Takes (dict "root" $ "tenant" ..). */}}
{{- define "carrel.pool" -}}
{{- $root := .root }}
{{- $tenant := .tenant }}
{{- with .tenant.pool -}}
apiVersion: carrel.dev/v1alpha1
kind: SandboxPool
metadata:
  name: {{ .name }}
  namespace: {{ $tenant.name }}
  labels:
    {{- include "carrel.labels" $root | nindent 4 }}
  {{- if not (include "carrel.kindsKnown" $root) }}
  # The next upgrade takes it over.
  annotations:
    meta.helm.sh/release-name: {{ $root.Release.Name }}
    meta.helm.sh/release-namespace: {{ $root.Release.Namespace }}
  {{- end }}
spec:
  replicas: {{ .replicas }}
  maxPods: {{ .maxPods }}
  isolation: {{ .isolation }}
  egress: {{ .egress }}
  reusePolicy: {{ .reusePolicy }}
  maxPodAgeSeconds: {{ .maxPodAgeSeconds | int64 }}
  fileRetentionSeconds: {{ .fileRetentionSeconds | int64 }}
  workspace: {sizeLimit: {{ .workspaceSizeLimit }}}
  queue: {depth: {{ .queueDepth }}}
  {{- with .preload }}
  preload: {{- toYaml . | nindent 2 }}
  {{- end }}
  template:
    {{- with .image }}
    image: {{ . }}
    {{- end }}
    imagePullPolicy: {{ $root.Values.executor.image.pullPolicy }}
    {{- with $root.Values.image.pullSecrets }}
    imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
    {{- end }}
    resources: {{- toYaml .resources | nindent 6 }}
    {{- with .nodeSelector }}
    nodeSelector: {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .tolerations }}
    tolerations: {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .priorityClassName }}
    priorityClassName: {{ . }}
    {{- end }}
    {{- with .runtimeClassName }}
    runtimeClassName: {{ . }}
    {{- end }}
{{- end }}
{{- end }}

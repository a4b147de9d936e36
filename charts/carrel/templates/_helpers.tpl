{{- define "carrel.fullname" -}}
{{- if contains "carrel" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-carrel" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* For what has no namespace of its own: two installations must not share it. */}}
{{- define "carrel.clusterName" -}}
{{ .Release.Namespace }}-{{ include "carrel.fullname" . }}
{{- end }}

{{- define "carrel.selector" -}}
app.kubernetes.io/name: carrel
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "carrel.labels" -}}
{{ include "carrel.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Takes (dict "image" .. "root" $). */}}
{{- define "carrel.image" -}}
{{- if .image.digest }}{{ .image.repository }}@{{ .image.digest }}{{ else }}{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "carrel.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "carrel.fullname" . }}-operator
{{- end }}

{{- define "carrel.shimUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "carrel.fullname" . }}-shim
{{- end }}

{{- define "carrel.testUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "carrel.fullname" . }}-test
{{- end }}

{{- define "carrel.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "carrel.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- end }}

{{- define "carrel.claim" -}}
{{ .Values.store.existingClaim | default (printf "%s-store" (include "carrel.fullname" .)) }}
{{- end }}

{{/* Where a pod goes. Takes (dict "root" $ "part" "shim"). */}}
{{- define "carrel.scheduling" -}}
{{- $part := index .root.Values .part }}
{{- $affinity := deepCopy $part.affinity }}
{{- if eq .root.Values.store.accessMode "ReadWriteOnce" }}
{{- /* The claim is mounted on one node, so whoever comes second goes where the first one is. */}}
{{- $labels := dict "carrel.dev/store" (include "carrel.fullname" .root) }}
{{- $term := dict "labelSelector" (dict "matchLabels" $labels) "topologyKey" "kubernetes.io/hostname" }}
{{- $pod := dig "podAffinity" (dict) $affinity }}
{{- $terms := append (dig "requiredDuringSchedulingIgnoredDuringExecution" (list) $pod) $term }}
{{- $_ := set $affinity "podAffinity" (set $pod "requiredDuringSchedulingIgnoredDuringExecution" $terms) }}
{{- end }}
{{- with $affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $part.priorityClassName }}
priorityClassName: {{ $part.priorityClassName }}
{{- else if .root.Values.priorityClass.create }}
priorityClassName: {{ include "carrel.clusterName" .root }}
{{- end }}
{{- if and .root.Values.topologySpread.enabled (gt (int $part.replicas) 1) }}
topologySpreadConstraints:
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "carrel.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .part }}
{{- end }}
{{- end }}

{{- define "carrel.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether the API knows our kinds before this release is applied. */}}
{{- define "carrel.kindsKnown" -}}
{{- if or (not .Values.crds.install) .Release.IsUpgrade (.Capabilities.APIVersions.Has "carrel.dev/v1alpha1/SandboxPool") }}true{{ end }}
{{- end }}

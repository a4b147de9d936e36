{{/* The namespaces that the policies of this installation are about. */}}
{{- define "carrel.policyNamespaces" -}}
matchResources:
  namespaceSelector:
    matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: In, values: [{{ include "carrel.tenantNames" . | replace "," ", " }}]}
{{- end }}

{{/* The images that Nested pods may have, as a CEL list. */}}
{{- define "carrel.nestedImages" -}}
{{- $images := list (include "carrel.image" (dict "image" .Values.executor.image "root" .)) }}
{{- range (include "carrel.tenants" . | fromJson).tenants }}{{ if .pool.image }}{{ $images = append $images .pool.image }}{{ end }}{{ end }}
{{- $quoted := list }}
{{- range uniq $images }}{{ $quoted = append $quoted (squote .) }}{{ end }}
{{- join ", " $quoted }}
{{- end }}

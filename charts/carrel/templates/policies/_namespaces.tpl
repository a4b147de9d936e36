{{/* Which namespaces a policy is about. Takes their names with commas. */}}
{{- define "carrel.policyNamespaces" -}}
matchResources:
  namespaceSelector:
    matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: In, values: [{{ . | replace "," ", " }}]}
{{- end }}

{{/* The namespaces that hold nothing but sandboxes, with commas; may be empty. */}}
{{- define "carrel.sandboxNamespaces" -}}
{{- $names := list }}
{{- range (include "carrel.tenants" . | fromJson).tenants }}{{ if .onlySandboxes }}{{ $names = append $names .name }}{{ end }}{{ end }}
{{- join "," $names }}
{{- end }}

{{/* The images that Nested pods may have, as a CEL list. */}}
{{- define "carrel.nestedImages" -}}
{{- $images := list (include "carrel.image" (dict "image" .Values.executor.image "root" .)) }}
{{- range (include "carrel.tenants" . | fromJson).tenants }}{{ if .pool.image }}{{ $images = append $images .pool.image }}{{ end }}{{ end }}
{{- $quoted := list }}
{{- range uniq $images }}{{ $quoted = append $quoted (squote .) }}{{ end }}
{{- join ", " $quoted }}
{{- end }}

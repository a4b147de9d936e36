{{/* The tenants with their defaults filled in, as JSON {"tenants": [..]}. */}}
{{- define "carrel.tenants" -}}
{{- $all := list }}
{{- $names := list }}
{{- $identities := list }}
{{- range .Values.tenants }}
{{- $tenant := mergeOverwrite (deepCopy $.Values.tenantDefaults) (deepCopy .) }}
{{- if hasKey . "quota" }}{{ $_ := set $tenant "quota" .quota }}{{ end }}
{{- include "carrel.checkTenant" (dict "root" $ "tenant" $tenant) }}
{{- $all = append $all $tenant }}
{{- $names = append $names .name }}
{{- if eq $.Values.shim.auth.mode "token" }}{{ $identities = append $identities .name }}{{ end }}
{{- $identities = concat $identities (.identities | default list) }}
{{- end }}
{{- if ne (len $names) (len (uniq $names)) }}{{ fail "tenants: a name is used twice" }}{{ end }}
{{- if ne (len $identities) (len (uniq $identities)) }}{{ fail "tenants: an identity is named twice" }}{{ end }}
{{- if has .Release.Namespace $names }}{{ fail "tenants: the release's own namespace cannot be a tenant" }}{{ end }}
{{- dict "tenants" $all | toJson }}
{{- end }}

{{/* Refuses what the API would refuse later, or what would not be what it says. */}}
{{- define "carrel.checkTenant" -}}
{{- $name := .tenant.name }}
{{- $pool := .tenant.pool }}
{{- if and (eq $pool.isolation "Nested") (ne .tenant.podSecurity "privileged") }}
{{- fail (printf "tenant %s: a pool of isolation Nested needs podSecurity: privileged" $name) }}
{{- end }}
{{- if and (eq $pool.isolation "Nested") (not .root.Values.policies.nested) }}
{{- fail (printf "tenant %s: a pool of isolation Nested needs policies.nested, or its namespace admits every pod" $name) }}
{{- end }}
{{- /* The namespace admits privileged pods, and policies.nested looks at some of their shapes only. */}}
{{- if and (or (not .root.Values.policies.pods) (not .tenant.onlySandboxes)) (or (eq $pool.isolation "Nested") (and .tenant.create (eq .tenant.podSecurity "privileged"))) }}
{{- fail (printf "tenant %s: podSecurity privileged and isolation Nested need policies.pods and onlySandboxes, or its namespace admits every pod" $name) }}
{{- end }}
{{- if and (eq $pool.reusePolicy "Verified") (ne $pool.isolation "Nested") }}
{{- fail (printf "tenant %s: reusePolicy Verified needs isolation Nested" $name) }}
{{- end }}
{{- if gt (int $pool.replicas) (int $pool.maxPods) }}
{{- fail (printf "tenant %s: pool.replicas is greater than pool.maxPods" $name) }}
{{- end }}
{{- if and .root.Values.tests.requireNetworkPolicy (not .tenant.networkPolicy.enabled) }}
{{- fail (printf "tenant %s: tests.requireNetworkPolicy can only fail without networkPolicy.enabled" $name) }}
{{- end }}
{{- end }}

{{- define "carrel.tenantNames" -}}
{{- $names := list }}
{{- range (include "carrel.tenants" . | fromJson).tenants }}{{ $names = append $names .name }}{{ end }}
{{- join "," $names }}
{{- end }}

{{/* Where an identity runs that no tenant names; may be empty. */}}
{{- define "carrel.defaultTenant" -}}
{{- $tenants := (include "carrel.tenants" . | fromJson).tenants }}
{{- $named := false }}
{{- $names := list }}
{{- range $tenants }}
{{- $names = append $names .name }}
{{- if or .identities .groups }}{{ $named = true }}{{ end }}
{{- end }}
{{- if .Values.shim.tenant }}
{{- if not (has .Values.shim.tenant $names) }}{{ fail (printf "shim.tenant: there is no tenant %s" .Values.shim.tenant) }}{{ end }}
{{- .Values.shim.tenant }}
{{- else if and (has .Values.shim.auth.mode (list "none" "existingSecret")) (not $named) }}
{{- first $names }}
{{- end }}
{{- end }}

{{/* The tenant that NOTES and the test show things in, as JSON. */}}
{{- define "carrel.shownTenant" -}}
{{- $tenants := (include "carrel.tenants" . | fromJson).tenants }}
{{- $shown := first $tenants }}
{{- $default := include "carrel.defaultTenant" . }}
{{- range $tenants }}{{ if eq .name $default }}{{ $shown = . }}{{ end }}{{ end }}
{{- $shown | toJson }}
{{- end }}

{{/* The identities of one tenant, as a JSON list in an object. Takes (dict "root" $ "tenant" ..). */}}
{{- define "carrel.identities" -}}
{{- $identities := .tenant.identities | default list }}
{{- $mode := .root.Values.shim.auth.mode }}
{{- if eq $mode "token" }}{{ $identities = prepend $identities .tenant.name }}{{ end }}
{{- if and (eq $mode "tokenReview") (eq .tenant.name (include "carrel.shownTenant" .root | fromJson).name) }}
{{- $identities = append $identities (include "carrel.testUser" .root) }}
{{- end }}
{{- dict "identities" $identities | toJson }}
{{- end }}

{{/* What the front reads: which identity runs where. */}}
{{- define "carrel.tenantsFile" -}}
{{- $entries := list }}
{{- range (include "carrel.tenants" . | fromJson).tenants }}
{{- $entry := dict "namespace" .name "pool" .pool.name }}
{{- with (include "carrel.identities" (dict "root" $ "tenant" .) | fromJson).identities }}{{ $_ := set $entry "identities" . }}{{ end }}
{{- with .groups }}{{ $_ := set $entry "groups" . }}{{ end }}
{{- $entries = append $entries $entry }}
{{- end }}
{{- $file := dict "tenants" $entries }}
{{- with include "carrel.defaultTenant" . }}{{ $_ := set $file "default" . }}{{ end }}
{{- $file | toPrettyJson }}
{{- end }}

{{/* Whom the operator makes tokens for, with commas. */}}
{{- define "carrel.tokenIdentities" -}}
{{- $all := list }}
{{- range (include "carrel.tenants" . | fromJson).tenants }}
{{- $all = concat $all (include "carrel.identities" (dict "root" $ "tenant" .) | fromJson).identities }}
{{- end }}
{{- join "," $all }}
{{- end }}

{{/* The Secret with tokens.json or what it is called; empty where there is none. As JSON {name, key}. */}}
{{- define "carrel.tokens" -}}
{{- if eq .Values.shim.auth.mode "token" }}
{{- dict "name" (printf "%s-tokens" (include "carrel.fullname" .)) "key" "tokens.json" | toJson }}
{{- else if eq .Values.shim.auth.mode "existingSecret" }}
{{- .Values.shim.auth.existingSecret | toJson }}
{{- else }}{}{{ end }}
{{- end }}

{{/* The Deployments over PostgreSQL: one of equal nodes, or one a role. */}}
{{- define "posthaste.sets" -}}
{{- $name := include "posthaste.name" . -}}
{{- $sets := list -}}
{{- if .Values.rolesApart.enabled -}}
{{- range $role, $replicas := .Values.rolesApart.replicas -}}
{{- $sets = append $sets (dict "name" (printf "%s-%s" $name $role) "role" $role "replicas" $replicas) -}}
{{- end -}}
{{- else -}}
{{- $replicas := kindIs "invalid" .Values.replicas | ternary 2 .Values.replicas -}}
{{- $sets = append $sets (dict "name" $name "role" "" "replicas" $replicas) -}}
{{- end -}}
{{ toJson $sets }}
{{- end }}

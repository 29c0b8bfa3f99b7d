{{/* The Deployments over PostgreSQL: one of equal nodes, or one a role. */}}
{{- define "posthaste.sets" -}}
{{- $name := include "posthaste.name" . -}}
{{- $sets := list -}}
{{- if .Values.rolesApart.enabled -}}
{{- range $role, $replicas := .Values.rolesApart.replicas -}}
{{- $sets = append $sets (dict "name" (printf "%s-%s" $name $role) "role" $role "replicas" $replicas) -}}
{{- end -}}
{{- else -}}
{{- $replicas := 2 -}}
{{- if kindIs "float64" .Values.replicas }}{{ $replicas = .Values.replicas }}{{ end -}}
{{- if kindIs "int64" .Values.replicas }}{{ $replicas = .Values.replicas }}{{ end -}}
{{- $sets = append $sets (dict "name" $name "role" "" "replicas" $replicas) -}}
{{- end -}}
{{ toJson $sets }}
{{- end }}

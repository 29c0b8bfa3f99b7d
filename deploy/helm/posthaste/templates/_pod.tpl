{{/* What every pod of ours has in common, so that no kind of it is a little less safe than the others. */}}

{{- define "posthaste.name" -}}
{{- $short := trunc 40 .Release.Name | trimSuffix "-" -}}
{{- if contains "posthaste" $short }}{{ $short }}{{ else }}{{ printf "%s-posthaste" $short }}{{ end -}}
{{- end }}

{{- define "posthaste.selector" -}}
app.kubernetes.io/name: posthaste
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "posthaste.labels" -}}
{{ include "posthaste.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "posthaste.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* The notice, then open connections (10 s), attempts (the timeout), their commits (5 s), and some to spare. */}}
{{- define "posthaste.patience" -}}
{{ add .Values.leaveNoticeSeconds 10 .Values.requestTimeoutSeconds 5 10 }}
{{- end }}

{{- define "posthaste.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "posthaste.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where secrets are: files, so that no list of a pod's environment shows them. */}}
{{- define "posthaste.secretSettings" -}}
- name: POSTHASTE_MAIN_SECRET_FILE
  value: /secrets/main-secret
{{- if eq .Values.store "postgresql" }}
- name: POSTHASTE_DATABASE_URL_FILE
  value: /secrets/database-url
{{- end }}
{{- if .Values.secretKeys.jwtSecret }}
- name: POSTHASTE_JWT_SECRET_FILE
  value: /secrets/jwt-secret
{{- end }}
{{- end }}

{{- define "posthaste.secretVolume" -}}
- name: secrets
  secret:
    secretName: {{ .Values.existingSecret }}
    defaultMode: 0440
    items:
      - {key: {{ .Values.secretKeys.mainSecret }}, path: main-secret}
      {{- if eq .Values.store "postgresql" }}
      - {key: {{ .Values.secretKeys.databaseUrl }}, path: database-url}
      {{- end }}
      {{- if .Values.secretKeys.jwtSecret }}
      - {key: {{ .Values.secretKeys.jwtSecret }}, path: jwt-secret}
      {{- end }}
{{- end }}

{{- define "posthaste.settings" -}}
- name: POSTHASTE_LISTEN
  value: 0.0.0.0:8071
- name: POSTHASTE_DATA_DIR
  value: /data
- name: POSTHASTE_LOG_FORMAT
  value: {{ .Values.logFormat }}
{{ include "posthaste.secretSettings" . }}
- name: POSTHASTE_REQUEST_TIMEOUT
  value: {{ printf "%ds" (int .Values.requestTimeoutSeconds) }}
- name: POSTHASTE_LEAVE_NOTICE
  value: {{ printf "%ds" (int .Values.leaveNoticeSeconds) }}
{{- with .Values.publicUrl }}
- name: POSTHASTE_PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.trustedProxies }}
- name: POSTHASTE_TRUSTED_PROXIES
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.allowTargets }}
- name: POSTHASTE_ALLOW_TARGETS
  value: {{ join "," . | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/* A pod that serves. Takes `root`, `role` (empty: all of them) and whether its `data` is a volume of its own. */}}
{{- define "posthaste.serving" -}}
{{- $values := .root.Values -}}
metadata:
  labels:
    {{- include "posthaste.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .role | default "node" }}
    {{- with $values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with $values.podAnnotations }}
  annotations: {{ toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ $values.serviceAccountName }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "posthaste.patience" .root }}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext: {{ include "posthaste.podSecurity" .root | nindent 4 }}
  containers:
    - name: posthaste
      image: {{ include "posthaste.image" .root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: [serve{{ if .role }}, --role, {{ .role }}{{ end }}]
      env: {{ include "posthaste.settings" .root | nindent 8 }}
      ports:
        - name: http
          containerPort: 8071
      # A migration may take its time: two minutes.
      startupProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 2
        failureThreshold: 60
      # The store answers and nobody told it to leave. Off, it gets no requests; it is not restarted for that.
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 2
        timeoutSeconds: 3
        failureThreshold: 2
      # The process runs. It never asks the store: restarting every node heals no database.
      livenessProbe:
        httpGet: {path: /livez, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      resources: {{ toYaml $values.resources | nindent 8 }}
      securityContext: {{ include "posthaste.containerSecurity" .root | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: secrets, mountPath: /secrets, readOnly: true}
  volumes:
    {{- if not .keepsData }}
    # Nothing that must be kept: the first node's token, which `token create` replaces.
    - name: data
      emptyDir: {sizeLimit: 64Mi}
    {{- end }}
    {{- include "posthaste.secretVolume" .root | nindent 4 }}
  {{- with $values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- if not .keepsData }}
  topologySpreadConstraints:
    {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "posthaste.selector" $.root | nindent 10 }}
          app.kubernetes.io/component: {{ $.role | default "node" }}
    {{- end }}
  {{- end }}
{{- end }}

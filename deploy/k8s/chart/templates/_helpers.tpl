{{/* The table of who runs. */}}
{{- define "bulkhead.fleet" -}}
{{ .Files.Get "files/fleet.json" }}
{{- end }}

{{/* Labels that never change, and so may select: of (dict "root" $ "name" <process>). */}}
{{- define "bulkhead.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "bulkhead.labels" -}}
{{ include "bulkhead.selector" . }}
app.kubernetes.io/part-of: bulkhead
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
{{- end }}

{{/* An image of ours: of (dict "root" $ "name" <image> "digest" <digest or nothing>). A digest says more than a tag, so it stands beside it. */}}
{{- define "bulkhead.image" -}}
{{- $image := .root.Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.prefix }}{{ .name }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}

{{/* An image of others. */}}
{{- define "bulkhead.otherImage" -}}
{{ .repository }}:{{ .tag }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "bulkhead.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* What every pod may not: of (dict "uid" <number as text>). */}}
{{- define "bulkhead.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid }}
  runAsGroup: {{ .uid }}
  fsGroup: {{ .uid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "bulkhead.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* Pods of a release keep off each other's nodes where they can. */}}
{{- define "bulkhead.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: {{ .whenUnsatisfiable | default "ScheduleAnyway" }}
    labelSelector:
      matchLabels: {{- .match | nindent 8 }}
{{- end }}

{{- define "bulkhead.placement" -}}
{{- with .Values.defaults.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.defaults.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "bulkhead.hasVenue" -}}
{{- if ne .Values.mode "live" }}yes{{ end }}
{{- end }}

{{- define "bulkhead.logReplicas" -}}
{{- if eq .Values.nats.mode "builtin" }}{{ .Values.nats.replicas }}{{ else }}{{ .Values.nats.existing.replicas }}{{ end }}
{{- end }}

{{/* What everybody is told, as a JSON object. */}}
{{- define "bulkhead.settings" -}}
{{- $fleet := include "bulkhead.fleet" . | fromJson -}}
{{- $told := merge (dict) $fleet.shared -}}
{{- $_ := set $told "BULKHEAD_MODE" .Values.mode -}}
{{- $_ := set $told "BULKHEAD_BOOK" .Values.book -}}
{{- $_ := set $told "BULKHEAD_EGRESS" .Values.egress -}}
{{- if ne .Values.mode "sim" -}}
{{- $_ := set $told "BULKHEAD_CLOCK_URL" "" -}}
{{- $_ := set $told "BULKHEAD_MARKET_URL" .Values.marketUrl -}}
{{- end -}}
{{- if eq .Values.mode "paper" -}}
{{- $_ := set $told "BULKHEAD_SIM_FOLLOW_URL" .Values.marketUrl -}}
{{- end -}}
{{- $_ := set $told "BULKHEAD_OTLP_ENDPOINT" .Values.traces.endpoint -}}
{{- if eq .Values.nats.mode "existing" -}}
{{- $_ := set $told "BULKHEAD_NATS_URL" .Values.nats.existing.url -}}
{{- end -}}
{{- mergeOverwrite $told .Values.settings | toJson -}}
{{- end }}

{{/* What one service is told beyond that, as a JSON object: of (dict "root" $ "name" <service>). What you say of a service wins, then what you say to all. */}}
{{- define "bulkhead.environment" -}}
{{- $values := .root.Values -}}
{{- $fleet := include "bulkhead.fleet" .root | fromJson -}}
{{- $service := index $fleet.services .name -}}
{{- $told := dict -}}
{{- if and $values.newcomer (eq $values.mode "sim") }}{{ $told = merge $told $service.newcomer }}{{ end -}}
{{- $told = mergeOverwrite $told $service.environment -}}
{{- if and (hasKey $told "BULKHEAD_FEED_VENUE_URL") (ne $values.mode "sim") }}{{ $_ := set $told "BULKHEAD_FEED_VENUE_URL" $values.marketUrl }}{{ end -}}
{{- if and (hasKey $told "BULKHEAD_EXEC_VENUE_URL") (eq $values.mode "live") }}{{ $_ := set $told "BULKHEAD_EXEC_VENUE_URL" $values.live.venueUrl }}{{ end -}}
{{- if and (hasKey $told "BULKHEAD_GATEWAY_BUS_MONITOR_URL") (eq $values.nats.mode "existing") }}{{ $_ := set $told "BULKHEAD_GATEWAY_BUS_MONITOR_URL" $values.nats.existing.monitorUrl }}{{ end -}}
{{- if $service.asksHealth -}}
{{- $pages := list -}}
{{- range $name, $each := $fleet.services -}}
{{- $chosen := index $values.services $name | default dict -}}
{{- if and (ne $name $.name) (or (not $each.isOptional) $chosen.enabled) }}{{ $pages = append $pages (printf "%s=http://%s:%s" $name $name $fleet.ports.http) }}{{ end -}}
{{- end -}}
{{- $_ := set $told (ternary "BULKHEAD_GATEWAY_SERVICES" "BULKHEAD_TELEGRAM_SERVICES" (eq .name "gateway")) (join "," $pages) -}}
{{- end -}}
{{- range $name, $text := $values.settings }}{{ if hasKey $told $name }}{{ $_ := set $told $name $text }}{{ end }}{{ end -}}
{{- mergeOverwrite $told ((index $values.services .name | default dict).environment | default dict) | toJson -}}
{{- end }}

{{/* A JSON object of variables as a list of env entries, without those that say nothing. */}}
{{- define "bulkhead.env" -}}
{{- range $name, $text := . | fromJson }}
{{- if $text }}
- { name: {{ $name }}, value: {{ $text | quote }} }
{{- end }}
{{- end }}
{{- end }}

{{- define "bulkhead.probes" -}}
startupProbe: # alive at all; what it has to catch up with is a matter of readiness
  httpGet: { path: /livez, port: {{ .port }} }
  periodSeconds: 2
  failureThreshold: 60
livenessProbe: # the event loop runs; a bus that is away is cured by no restart
  httpGet: { path: /livez, port: {{ .port }} }
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
readinessProbe:
  httpGet: { path: {{ .ready | quote }}, port: {{ .port }} }
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

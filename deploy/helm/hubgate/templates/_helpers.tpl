{{- define "hubgate.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "hubgate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "hubgate.labels" -}}
{{ include "hubgate.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "hubgate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "hubgate.accessConfigMap" -}}
{{ .Values.access.existingConfigMap | default (printf "%s-access" (include "hubgate.fullname" .)) }}
{{- end -}}

{{/* hubgate.yaml: what the values say, and what follows from where the chart puts things. */}}
{{- define "hubgate.config" -}}
{{- $name := include "hubgate.fullname" . -}}
{{- $config := deepCopy .Values.config -}}
{{- $server := $config.server -}}
{{- $local := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) -}}
{{- $_ := set $server "names" (concat ($server.names | default list) $local | uniq) -}}
{{- $_ := set $server "listen" ":8443" -}}
{{- $_ := set $server "admin" ":9090" -}}
{{- $tls := dict -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := set $tls "certificate" "/run/secrets/hubgate/tls/tls.crt" -}}
{{- $_ := set $tls "key" "/run/secrets/hubgate/tls/tls.key" -}}
{{- else -}}
{{- $_ := set $tls "certificate" "certs/server/server.crt" -}}
{{- $_ := set $tls "key" "certs/server/server.key" -}}
{{- end -}}
{{- if .Values.tls.clientCaConfigMap -}}
{{- $_ := set $tls "clientCa" "/etc/hubgate/client-ca/ca.crt" -}}
{{- end -}}
{{- $_ := set $config "tls" $tls -}}
{{- if .Values.cluster.enabled -}}
{{- $_ := set $config "cluster" (dict "listen" ":9443" "onDatabaseLoss" .Values.cluster.onDatabaseLoss) -}}
{{- end -}}
{{- $_ := set $config "log" (merge (dict "audit" "log/audit.log") ($config.log | default dict)) -}}
{{ toYaml $config }}
{{- end -}}

{{/* The rights of a container, by its user. */}}
{{- define "hubgate.securityContext" -}}
runAsUser: {{ . }}
runAsGroup: 10003
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* Does a role answer on its socket? That it answers is enough: there is no path for the question alone. */}}
{{- define "hubgate.answers" -}}
exec:
  command:
    - node
    - -e
    - >-
      require('node:http').get({ socketPath: '/hubgate/run/{{ . }}/{{ . }}.sock' }, () => process.exit(0)).on('error', () => process.exit(1))
timeoutSeconds: 5
{{- end -}}

{{/* HUBGATE_UPSTREAMS_DOCKER_IO_… of docker.io, as src/config/environment.ts makes it. */}}
{{- define "hubgate.upstreamVariable" -}}
HUBGATE_UPSTREAMS_{{ regexReplaceAll "[^A-Za-z0-9]" . "_" | upper }}
{{- end -}}

{{/* The name of this node of a cluster is the name of its pod. */}}
{{- define "hubgate.node" -}}
{{- if .Values.cluster.enabled -}}
- name: HUBGATE_CLUSTER_NODE
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
{{- end -}}
{{- end -}}

{{/* The database of the cluster, which the gateway does not know. */}}
{{- define "hubgate.database" -}}
{{- if .Values.cluster.enabled -}}
- name: HUBGATE_CLUSTER_DATABASE
  valueFrom: { secretKeyRef: { name: {{ .Values.cluster.database.existingSecret }}, key: {{ .Values.cluster.database.key }} } }
{{- end -}}
{{- end -}}

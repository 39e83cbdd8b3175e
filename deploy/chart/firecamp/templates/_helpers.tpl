{{/* The labels of every object of the release. */}}
{{- define "firecamp.labels" -}}
app.kubernetes.io/part-of: firecamp
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* The selector labels of the agents' pods. Never change them: a DaemonSet's selector is immutable. */}}
{{- define "firecamp.agent.selector" -}}
app.kubernetes.io/name: firecamp
app.kubernetes.io/component: agent
{{- end }}

{{/* The image with its tag or digest. */}}
{{- define "firecamp.image" -}}
{{- $image := .Values.image }}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/*
The objects of a file that is used without Helm as well: (list . "files/rbac/agent.yaml"), or only
those of some kinds, which follow in the list. They are written for the namespace firecamp-system.
Their comments stay in the file.
*/}}
{{- define "firecamp.objects" -}}
{{- $root := index . 0 }}
{{- $kinds := slice . 2 }}
{{- $text := $root.Files.Get (index . 1) | required (printf "no file %s" (index . 1)) }}
{{- $text = $text | replace "firecamp-system" $root.Release.Namespace }}
{{- range splitList "\n---\n" $text }}
{{- $object := fromYaml . }}
{{- if eq $object.kind "ServiceAccount" }}
{{- with $root.Values.serviceAccount.annotations }}
{{- $_ := set $object.metadata "annotations" . }}
{{- end }}
{{- end }}
{{- $wanted := or (not $kinds) (has $object.kind $kinds) }}
{{- if and $wanted (or (ne $object.kind "Namespace") $root.Values.namespace.create) }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
{{- end }}

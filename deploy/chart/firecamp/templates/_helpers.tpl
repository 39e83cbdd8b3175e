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

{{/* The agent's image with its tag or digest. */}}
{{- define "firecamp.image" -}}
{{ include "firecamp.image.of" (list . .Values.image) }}
{{- end }}

{{/* The init container's image, of the same registry and version. */}}
{{- define "firecamp.injection.image" -}}
{{ include "firecamp.image.of" (list . .Values.injection.image) }}
{{- end }}

{{/* (list . IMAGE), whose repository and digest are its own. */}}
{{- define "firecamp.image.of" -}}
{{- $root := index . 0 }}
{{- $image := index . 1 }}
{{- with $root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ $image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* The version in which the API server has MutatingAdmissionPolicy; empty if it has none. */}}
{{- define "firecamp.injection.version" -}}
{{- if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" }}v1
{{- else if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy" }}v1beta1
{{- end }}
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

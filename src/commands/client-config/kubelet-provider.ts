/**
 * The image credential provider that kubelet runs before a pull. It answers with the token of the pod's own
 * service account, which Hubgate accepts as a federated login. It is a shell script, because a node has
 * `/bin/sh` and not Node; it uses nothing but what is built into every POSIX shell.
 *
 * The token comes from one JSON text and goes into another one, so it is given only if it consists of the
 * characters of a JWT, of which none has a meaning in JSON. An annotation can have any name, so the token is
 * looked for only before the annotations. Each argument is a registry to which the token is given.
 *
 * https://kubernetes.io/docs/reference/config-api/kubelet-credentialprovider.v1
 */
export const PROVIDER_SCRIPT = String.raw`#!/bin/sh
# The image credential provider of Hubgate: kubelet runs it before a pull, and it answers with the token of
# the pod's service account. Its arguments are the registries for which the token is meant: the mirror, and
# those that containerd asks the mirror for. Without a token it answers that there is no credential.
set -eu
LC_ALL=C

for registry in "$@"; do
  case $registry in
    '' | *[!A-Za-z0-9.:-]*) echo "hubgate-credential-provider: \"$registry\" is no host of a registry" >&2; exit 2 ;;
  esac
done

request=
while IFS= read -r line || [ -n "$line" ]; do
  request=$request$line
done

request=${'$'}{request%%'"serviceAccountAnnotations"'*}
token=
case $request in
  *'"serviceAccountToken":"'*) token=${'$'}{request#*'"serviceAccountToken":"'} ;;
  *'"serviceAccountToken": "'*) token=${'$'}{request#*'"serviceAccountToken": "'} ;;
esac
token=${'$'}{token%%'"'*}
case $token in
  *[!A-Za-z0-9._-]*) token= ;;
  *.*.*) ;;
  *) token= ;;
esac

printf '{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse",'
printf '"cacheKeyType":"Registry","cacheDuration":"0s","auth":{'
comma=
if [ -n "$token" ]; then
  for registry in "$@"; do
    printf '%s"%s":{"username":"oidc","password":"%s"}' "$comma" "$registry" "$token"
    comma=,
  done
fi
printf '}}\n'
`;

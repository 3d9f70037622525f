#!/usr/bin/env bash
# Build the image and push it to Amazon ECR, tagged with marquee's version and the git revision.
# Account and region are those of your AWS configuration; the repository is created when missing.
#
#   docker/build_and_push.sh [--dry-run] [--kms-key KEY] [REPOSITORY]
#
# REPOSITORY is "marquee" unless named. Its images are scanned when pushed; its tags may move, for
# a version is pushed again while it is worked on: what is deployed goes by the revision's tag.
# --dry-run asks AWS for the account and the repository, and prints the rest instead of doing it.
# --kms-key encrypts a new repository: ARN, id or alias/NAME of a key (or ECR_KMS_KEY); S3's kind of
#           key (AES256) unless named. The key of a repository that is there cannot be changed.
# BUILDER   docker, podman or buildah; the first that is installed, unless set
# PLATFORM  linux/amd64 unless set: what SageMaker's instances run
# RUN_AS    who the image starts as, root unless set: SageMaker mounts /opt/ml for root to write;
#           started as root, it goes on as user 1001 once its folders are made
set -euo pipefail

fail() {
    printf 'Error: %s\n' "$*" >&2
    exit 1
}

usage() {
    sed -n '2,15s/^# \{0,1\}//p' "$0"
}

run() {
    if [[ $dry_run == yes ]]; then
        printf '%q ' "$@"
        printf '\n'
    else
        "$@"
    fi
}

find_builder() {
    local name
    for name in docker podman buildah; do
        if command -v "$name" >/dev/null; then
            printf '%s\n' "$name"
            return
        fi
    done
    fail "no docker, podman or buildah is installed; install one, or set BUILDER to its path"
}

find_region() {
    local found=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}
    [[ -n $found ]] || found=$(aws configure get region) || true
    [[ -n $found ]] || fail "no region is configured; run 'aws configure', or set AWS_REGION"
    printf '%s\n' "$found"
}

find_account() {
    local found
    found=$(aws sts get-caller-identity --query Account --output text) ||
        fail "AWS does not say whose account this is (see above); run 'aws configure' or 'aws sso login'"
    printf '%s\n' "$found"
}

ensure_repository() {
    local found encryption=encryptionType=AES256
    if found=$(aws ecr describe-repositories --region "$region" --repository-names "$repository" \
        --query 'repositories[0].encryptionConfiguration.[encryptionType, kmsKey]' --output text 2>&1); then
        check_key "$found"
        return
    fi
    [[ $found == *RepositoryNotFoundException* ]] ||
        fail "ECR does not tell whether there is a repository $repository: $found"
    [[ -z $key ]] || encryption=encryptionType=KMS,kmsKey=$key
    run aws ecr create-repository --region "$region" --repository-name "$repository" \
        --image-scanning-configuration scanOnPush=true --encryption-configuration "$encryption"
}

# ECR tells the key's ARN, so that an alias cannot be compared: that there is a key has to do.
check_key() {
    local kind own
    read -r kind own <<<"$1"
    own=${own#None}
    [[ -z $key || ($kind == KMS && $key == *alias/*) || ($kind == KMS && $own == *"$key") ]] ||
        fail "the repository $repository is there, encrypted with $kind${own:+ $own} and not with $key," \
            "and ECR never changes that; name another repository, or leave --kms-key away"
}

log_in() {
    if [[ $dry_run == yes ]]; then
        printf 'aws ecr get-login-password --region %q | %q login --username AWS --password-stdin %q\n' \
            "$region" "$builder" "$registry"
    else
        aws ecr get-login-password --region "$region" |
            "$builder" login --username AWS --password-stdin "$registry"
    fi
}

dry_run=no
repository=marquee
key=${ECR_KMS_KEY:-}
while (($#)); do
    case $1 in
        --dry-run) dry_run=yes ;;
        --kms-key)
            key=${2:-}
            [[ -n $key ]] || fail "--kms-key names no key; expected its ARN, id or alias/NAME"
            shift
            ;;
        -h | --help)
            usage
            exit
            ;;
        -*) fail "unknown option $1; --dry-run, --kms-key and --help are all there is" ;;
        *) repository=$1 ;;
    esac
    shift
done
[[ $repository =~ ^[a-z0-9]+([._/-][a-z0-9]+)*$ ]] ||
    fail "the repository is '$repository'; ECR takes lower-case letters and digits with single . _ - / between"
[[ -z $key || $key =~ ^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]+|alias/[A-Za-z0-9/_-]+|[0-9a-f-]{36}|mrk-[0-9a-f]{32})$ ]] ||
    fail "the KMS key is '$key'; expected its ARN, id or alias/NAME"

cd "$(dirname "$0")/.."
command -v aws >/dev/null || fail "the aws command is not installed; see https://aws.amazon.com/cli/"
builder=${BUILDER:-$(find_builder)}
region=$(find_region)
account=$(find_account)
domain=amazonaws.com
[[ $region == cn-* ]] && domain=amazonaws.com.cn
registry=$account.dkr.ecr.$region.$domain

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
revision=$(git rev-parse --short=12 HEAD)
# What is not committed is in no revision: the tag says so.
[[ -z $(git status --porcelain) ]] || revision=$revision-dirty

tags=()
for tag in "$version" "$revision"; do
    tags+=("$registry/$repository:$tag")
done
build=build
[[ ${builder##*/} == buildah ]] && build=bud

ensure_repository
log_in
options=(--platform "${PLATFORM:-linux/amd64}" --file docker/Dockerfile)
# SageMaker reads Docker's image format: podman and buildah write OCI's unless told, and
# attestations would make docker push an index, which SageMaker refuses.
[[ ${builder##*/} == docker ]] || options+=(--format docker)
export BUILDX_NO_DEFAULT_ATTESTATIONS=1
run "$builder" "$build" "${options[@]}" --build-arg "VERSION=$version" \
    --build-arg "REVISION=$revision" --build-arg "RUN_AS=${RUN_AS:-root}" --tag "${tags[0]}" --tag "${tags[1]}" .
for tag in "${tags[@]}"; do
    run "$builder" push "$tag"
done
printf 'image: %s\n' "${tags[1]}"

#!/usr/bin/env bash
# Build the image and push it to ECR: docker/build_and_push.sh [--dry-run] [REPOSITORY]
#
# Region and account are those of your AWS configuration (AWS_PROFILE, AWS_REGION, ...). The
# repository, marquee unless you name one, is created if it is missing: its tags cannot be
# overwritten, and what is pushed is scanned. The tag is version-revision of the sources.
# --dry-run looks these things up, and prints what would be done.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "Error: $1" >&2
    exit 1
}

dry_run=
if [ "${1:-}" = --dry-run ]; then
    dry_run=yes
    shift
fi
repository=${1:-marquee}
[[ $repository =~ ^[a-z0-9][a-z0-9._/-]{1,255}$ ]] ||
    fail "the repository is '$repository'; expected 2 to 256 small letters, digits and ._/-"
command -v aws >/dev/null || fail "there is no aws command here; pip install awscli"

region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
[ -n "$region" ] || fail "your AWS configuration names no region; set AWS_REGION"
account=$(aws sts get-caller-identity --query Account --output text) ||
    fail "AWS does not know who you are; see aws configure"
domain=amazonaws.com
[[ $region != cn-* ]] || domain=amazonaws.com.cn
registry=$account.dkr.ecr.$region.$domain

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse --short=12 HEAD) || fail "this is no git clone: no revision to tag with"
if [ -n "$(git status --porcelain)" ]; then
    [ -n "$dry_run" ] || fail "there are changes that are not committed; the tag would lie"
    echo "Warning: there are changes that are not committed" >&2
fi
image=$registry/$repository:$version-$revision

engine=docker
docker info >/dev/null 2>&1 || engine=podman

run() {
    if [ -n "$dry_run" ]; then
        printf 'would run: %s\n' "$*"
    else
        "$@"
    fi
}

log_in() {
    aws ecr get-login-password --region "$region" |
        "$engine" login --username AWS --password-stdin "$registry"
}

if ! aws ecr describe-repositories --region "$region" --repository-names "$repository" \
    >/dev/null 2>&1; then
    run aws ecr create-repository --region "$region" --repository-name "$repository" \
        --image-tag-mutability IMMUTABLE --image-scanning-configuration scanOnPush=true
fi
ENGINE=$engine run docker/build "$image"
if [ -n "$dry_run" ]; then
    echo "would run: aws ecr get-login-password | $engine login $registry"
else
    log_in
fi
run "$engine" push "$image"
[ -n "$dry_run" ] || echo "pushed $image"

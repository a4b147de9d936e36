set -euo pipefail
printf '%s\n' "$@" | sort -u > sorted.txt
wc -l < sorted.txt | tr -d ' '
echo "from $0" >&2

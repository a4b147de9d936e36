read -r line
echo "$line in $REGION"
exit 5

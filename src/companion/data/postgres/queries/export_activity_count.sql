SELECT count(*) AS total
FROM (
  SELECT 1
  FROM activity_log
  WHERE organization_id = $1::uuid
    AND created_at >= to_timestamp($2 / 1000000.0) AND created_at < to_timestamp($3 / 1000000.0)
  LIMIT $4
) AS counted

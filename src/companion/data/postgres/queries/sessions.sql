SELECT count(*) FILTER (WHERE started_at >= to_timestamp($2 / 1000000.0)) AS today,
  count(*) AS week,
  avg(duration_seconds)::float8 AS average,
  count(DISTINCT user_id) AS users
FROM user_sessions
WHERE organization_id = $1::uuid AND started_at >= to_timestamp($3 / 1000000.0)

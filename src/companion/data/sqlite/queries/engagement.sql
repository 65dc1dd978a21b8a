SELECT span.key AS number, count(*) AS sessions, count(DISTINCT user_id) AS users, count(duration_seconds) AS ended,
  CAST(sum(duration_seconds) AS REAL) AS seconds
FROM json_each(?2) AS span
CROSS JOIN user_sessions
WHERE organization_id = ?1
  AND started_at >= json_extract(span.value, '$[0]') AND started_at < json_extract(span.value, '$[1]')
GROUP BY span.key

WITH seen AS (
  SELECT json_extract(span.value, '$[0]') AS number, user_id
  FROM json_each(?2) AS span
  CROSS JOIN user_activity_days
  WHERE organization_id = ?1 AND day >= json_extract(span.value, '$[1]') AND day <= json_extract(span.value, '$[2]')
  UNION
  SELECT json_extract(span.value, '$[0]'), user_id
  FROM json_each(?3) AS span
  CROSS JOIN user_sessions
  WHERE organization_id = ?1
    AND started_at >= json_extract(span.value, '$[1]') AND started_at < json_extract(span.value, '$[2]')
)
SELECT number, count(*) AS users
FROM seen
GROUP BY number

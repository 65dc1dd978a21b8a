WITH seen AS (
  SELECT span.key AS number, user_id
  FROM json_each(?2) AS span
  CROSS JOIN json_each(span.value, '$[0]') AS days
  CROSS JOIN user_activity_days
  WHERE organization_id = ?1 AND day >= json_extract(days.value, '$[0]') AND day <= json_extract(days.value, '$[1]')
  UNION
  SELECT span.key, user_id
  FROM json_each(?2) AS span
  CROSS JOIN json_each(span.value, '$[1]') AS live
  CROSS JOIN user_sessions
  WHERE organization_id = ?1
    AND started_at >= json_extract(live.value, '$[0]') AND started_at < json_extract(live.value, '$[1]')
)
SELECT number, count(*) AS users
FROM seen
GROUP BY number

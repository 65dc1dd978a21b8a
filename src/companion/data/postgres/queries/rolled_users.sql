WITH seen AS (
  SELECT (span.it ->> 0)::bigint AS number, active.user_id
  FROM json_array_elements($2::json) AS span (it)
  CROSS JOIN LATERAL (
    SELECT user_id
    FROM user_activity_days
    WHERE organization_id = $1::uuid AND day >= (span.it ->> 1)::date AND day <= (span.it ->> 2)::date
  ) AS active
  UNION
  SELECT (span.it ->> 0)::bigint, begun.user_id
  FROM json_array_elements($3::json) AS span (it)
  CROSS JOIN LATERAL (
    SELECT user_id
    FROM user_sessions
    WHERE organization_id = $1::uuid
      AND started_at >= to_timestamp((span.it ->> 1)::bigint / 1000000.0)
      AND started_at < to_timestamp((span.it ->> 2)::bigint / 1000000.0)
  ) AS begun
)
SELECT number, count(*) AS users
FROM seen
GROUP BY number

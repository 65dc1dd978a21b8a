SELECT span.number - 1 AS number, seen.users
FROM json_array_elements($2::json) WITH ORDINALITY AS span (it, number)
CROSS JOIN LATERAL (
  SELECT count(*) AS users
  FROM (
    SELECT active.user_id
    FROM json_array_elements(span.it -> 0) AS days (it)
    CROSS JOIN LATERAL (
      SELECT user_id
      FROM user_activity_days
      WHERE organization_id = $1::uuid AND day >= (days.it ->> 0)::date AND day <= (days.it ->> 1)::date
    ) AS active
    UNION
    SELECT begun.user_id
    FROM json_array_elements(span.it -> 1) AS live (it)
    CROSS JOIN LATERAL (
      SELECT user_id
      FROM user_sessions
      WHERE organization_id = $1::uuid
        AND started_at >= to_timestamp((live.it ->> 0)::bigint / 1000000.0)
        AND started_at < to_timestamp((live.it ->> 1)::bigint / 1000000.0)
    ) AS begun
  ) AS part
) AS seen

-- A day of a tenant at a time: each is a short piece of the indexes. Joined, days times rows would be compared.
INSERT INTO metrics_daily (organization_id, day, new_users, content_created, content_published, sessions, active_users, session_seconds,
  ended_sessions, timezone, settled)
SELECT span.organization_id, span.day, new_users.users, new_content.created, new_content.published, begun.sessions, active.users,
  begun.seconds, begun.ended, $3, span.day <= $4::date
FROM (
  SELECT o.id AS organization_id, (it ->> 2)::date AS day, to_timestamp((it ->> 0)::bigint / 1000000.0) AS begins,
    to_timestamp((it ->> 1)::bigint / 1000000.0) AS ends
  FROM organizations o CROSS JOIN json_array_elements($2::json) AS it
  WHERE o.timezone = $1
) AS span
CROSS JOIN LATERAL (
  SELECT count(*) AS users
  FROM users u
  WHERE u.organization_id = span.organization_id AND u.deleted_at IS NULL
    AND u.created_at >= span.begins AND u.created_at < span.ends
) AS new_users
CROSS JOIN LATERAL (
  SELECT count(*) AS created, count(*) FILTER (WHERE c.status = 'published') AS published
  FROM educational_content c
  WHERE c.organization_id = span.organization_id AND c.deleted_at IS NULL
    AND c.created_at >= span.begins AND c.created_at < span.ends
) AS new_content
CROSS JOIN LATERAL (
  SELECT count(*) AS sessions, count(s.duration_seconds) AS ended, coalesce(sum(s.duration_seconds), 0) AS seconds
  FROM user_sessions s
  WHERE s.organization_id = span.organization_id AND s.started_at >= span.begins AND s.started_at < span.ends
) AS begun
CROSS JOIN LATERAL (
  SELECT count(*) AS users
  FROM user_activity_days d
  WHERE d.organization_id = span.organization_id AND d.day = span.day
) AS active

WITH span AS MATERIALIZED (
  SELECT o.id AS organization_id, json_extract(value, '$[2]') AS day, json_extract(value, '$[0]') AS begins,
    json_extract(value, '$[1]') AS ends
  FROM organizations o CROSS JOIN json_each(?2)
  WHERE o.timezone = ?1
), new_users AS (
  SELECT span.organization_id, span.day, count(*) AS users
  FROM span CROSS JOIN users u ON u.organization_id = span.organization_id AND u.deleted_at IS NULL
    AND u.created_at >= span.begins AND u.created_at < span.ends
  GROUP BY 1, 2
), new_content AS (
  SELECT span.organization_id, span.day, count(*) AS created, count(*) FILTER (WHERE c.status = 'published') AS published
  FROM span CROSS JOIN educational_content c ON c.organization_id = span.organization_id AND c.deleted_at IS NULL
    AND c.created_at >= span.begins AND c.created_at < span.ends
  GROUP BY 1, 2
), begun AS (
  SELECT span.organization_id, span.day, count(*) AS sessions, count(s.duration_seconds) AS ended,
    coalesce(sum(s.duration_seconds), 0) AS seconds
  FROM span CROSS JOIN user_sessions s ON s.organization_id = span.organization_id
    AND s.started_at >= span.begins AND s.started_at < span.ends
  GROUP BY 1, 2
), active AS (
  SELECT span.organization_id, span.day, count(*) AS users
  FROM span CROSS JOIN user_activity_days d ON d.organization_id = span.organization_id AND d.day = span.day
  GROUP BY 1, 2
)
INSERT INTO metrics_daily (organization_id, day, new_users, content_created, content_published, sessions, active_users, session_seconds,
  ended_sessions, timezone, settled)
SELECT span.organization_id, span.day, coalesce(u.users, 0), coalesce(c.created, 0), coalesce(c.published, 0),
  coalesce(b.sessions, 0), coalesce(a.users, 0), coalesce(b.seconds, 0), coalesce(b.ended, 0), ?3, span.day <= ?4
FROM span
LEFT JOIN new_users u ON u.organization_id = span.organization_id AND u.day = span.day
LEFT JOIN new_content c ON c.organization_id = span.organization_id AND c.day = span.day
LEFT JOIN begun b ON b.organization_id = span.organization_id AND b.day = span.day
LEFT JOIN active a ON a.organization_id = span.organization_id AND a.day = span.day

SELECT count(*) FILTER (WHERE started_at >= ?2) AS today,
  count(*) AS week,
  avg(duration_seconds) AS average,
  count(DISTINCT user_id) AS users
FROM user_sessions
WHERE organization_id = ?1 AND started_at >= ?3

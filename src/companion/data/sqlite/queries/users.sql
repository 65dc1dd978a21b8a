SELECT CAST(role AS TEXT) AS role,
  count(*) AS total,
  count(*) FILTER (WHERE last_login_at >= ?2) AS active_today,
  count(*) FILTER (WHERE last_login_at >= ?3) AS active_week,
  count(*) FILTER (WHERE created_at >= ?6) AS new_30d,
  count(*) FILTER (WHERE created_at >= ?4) AS new,
  count(*) FILTER (WHERE created_at >= ?5 AND created_at < ?4) AS new_before
FROM users
WHERE organization_id = ?1 AND deleted_at IS NULL
GROUP BY role

SELECT role::text AS role,
  count(*) AS total,
  count(*) FILTER (WHERE last_login_at >= to_timestamp($2 / 1000000.0)) AS active_today,
  count(*) FILTER (WHERE last_login_at >= to_timestamp($3 / 1000000.0)) AS active_week,
  count(*) FILTER (WHERE created_at >= to_timestamp($6 / 1000000.0)) AS new_30d,
  count(*) FILTER (WHERE created_at >= to_timestamp($4 / 1000000.0)) AS new,
  count(*) FILTER (WHERE created_at >= to_timestamp($5 / 1000000.0) AND created_at < to_timestamp($4 / 1000000.0)) AS new_before
FROM users
WHERE organization_id = $1::uuid AND deleted_at IS NULL
GROUP BY role

SELECT id, first_name, last_name, role, created_at AS created_at_us, last_login_at AS last_login_at_us
FROM users
WHERE organization_id = ?1 AND deleted_at IS NULL AND created_at >= ?2
  -- Behind a row: older, or as old with a greater id. Without an id only what is older.
  AND created_at <= ?3 AND (created_at < ?3 OR id > ?4)
ORDER BY created_at DESC, id
LIMIT ?5

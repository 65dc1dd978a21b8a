SELECT a.id, CAST(a.activity_type AS TEXT) AS activity_type, CAST(a.user_id AS TEXT) AS user_id,
  nullif(trim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, '')), '') AS user_name, CAST(a.entity_type AS TEXT) AS entity_type,
  CAST(a.entity_id AS TEXT) AS entity_id, CAST(a.summary AS TEXT) AS summary, a.created_at AS occurred_at_us
FROM (
  SELECT *
  FROM activity_log
  WHERE organization_id = ?1
    AND created_at >= ?2 AND (created_at, id) < (?3, ?4)
  ORDER BY created_at DESC, id DESC
  LIMIT ?5
) AS a
-- A name is one of the tenant's own, whatever the row of the feed says.
LEFT JOIN users u ON u.id = a.user_id AND u.organization_id = a.organization_id
ORDER BY a.created_at DESC, a.id DESC

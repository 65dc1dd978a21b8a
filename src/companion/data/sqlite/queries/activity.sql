SELECT a.id, a.activity_type, a.user_id AS user_id, u.first_name || ' ' || u.last_name AS user_name, a.entity_type,
  a.entity_id AS entity_id, a.summary, a.created_at AS occurred_at_us
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

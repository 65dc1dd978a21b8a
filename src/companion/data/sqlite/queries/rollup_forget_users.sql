DELETE FROM user_activity_days
WHERE organization_id IN (SELECT id FROM organizations WHERE timezone = ?1)
  AND day IN (SELECT json_extract(value, '$[2]') FROM json_each(?2))

DELETE FROM user_activity_days
WHERE organization_id IN (SELECT id FROM organizations WHERE timezone = $1)
  AND day IN (SELECT (it ->> 2)::date FROM json_array_elements($2::json) AS it)

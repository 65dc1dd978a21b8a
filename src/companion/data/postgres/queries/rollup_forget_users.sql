-- Arrays, because the planner would read the whole table for what it takes for thousands of tenants' days.
DELETE FROM user_activity_days
WHERE organization_id = ANY (ARRAY(SELECT id FROM organizations WHERE timezone = $1))
  AND day = ANY (ARRAY(SELECT (it ->> 2)::date FROM json_array_elements($2::json) AS it))

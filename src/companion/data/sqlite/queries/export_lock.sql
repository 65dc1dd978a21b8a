-- Who writes is alone: the transaction began as a writer's.
SELECT ?1 AS locked

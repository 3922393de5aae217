"""How 0002 fills the counters from what was said before it, in SQL for both back ends."""

DENSE = """
UPDATE cases SET queue_order = ranked.place FROM (
    SELECT id, ROW_NUMBER() OVER (PARTITION BY version_id ORDER BY queue_order, id) - 1 AS place
    FROM cases
) AS ranked WHERE ranked.id = cases.id
"""
STANDS = """
    v.value <> 'withdrawn' AND NOT EXISTS (
        SELECT 1 FROM verdicts n WHERE n.cue_id = v.cue_id
        AND n.reviewer_id = v.reviewer_id AND n.revision > v.revision
    )
"""
WORDS = f"""
INSERT INTO case_words (case_id, reviewer_id, cues, assessed)
SELECT case_id, reviewer_id, SUM(cues), SUM(assessed) > 0 FROM (
    SELECT v.case_id, v.reviewer_id, 1 AS cues, 0 AS assessed FROM verdicts v WHERE {STANDS}
    UNION ALL
    SELECT a.case_id, a.reviewer_id, 0, 1 FROM assessments a WHERE NOT a.blank AND NOT EXISTS (
        SELECT 1 FROM assessments n WHERE n.case_id = a.case_id
        AND n.reviewer_id = a.reviewer_id AND n.revision > a.revision
    )
) AS said GROUP BY case_id, reviewer_id
"""
MINE = """
INSERT INTO queue_progress (version_id, who, done, open_from)
SELECT c.version_id, w.reviewer_id, COUNT(*), 0
FROM case_words w JOIN cases c ON c.id = w.case_id GROUP BY c.version_id, w.reviewer_id
"""
TEAM = """
INSERT INTO queue_progress (version_id, who, done, open_from)
SELECT c.version_id, 'team', COUNT(DISTINCT c.id), 0
FROM case_words w JOIN cases c ON c.id = w.case_id GROUP BY c.version_id
"""
TALLIES = f"""
INSERT INTO concept_tallies (concept_id, correct, spurious, unsure)
SELECT v.concept_id, SUM(CASE WHEN v.value = 'correct' THEN 1 ELSE 0 END),
    SUM(CASE WHEN v.value = 'spurious' THEN 1 ELSE 0 END),
    SUM(CASE WHEN v.value = 'unsure' THEN 1 ELSE 0 END)
FROM verdicts v WHERE {STANDS} GROUP BY v.concept_id
"""
FILLS = (DENSE, WORDS, MINE, TEAM, TALLIES)

"""The night job as an Airflow DAG.

A night is run for the day before the end of its interval, the last one that is over then, so
clearing a task in the past replays that night with what was known then. Exit codes: 0 and 5 (the
challenger was refused, the champion has scored everybody) are successes; 75 (another run is at
work) skips the task; anything else fails it, and is tried once more: data that are late may have
come by then.
"""

from __future__ import annotations

import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

# 99 is what BashOperator takes for "skipped".
COMMAND = """
set -u
cd "${CLV_HOME:-/var/lib/clv}"
code=0
"${CLV_BIN:-/opt/clv/bin/clv}" retrain "${CLV_CONFIG:-/etc/clv/clv.toml}" \\
    --as-of "{{ (data_interval_end - macros.timedelta(days=1)) | ds }}" --wait 600 || code=$?
case "$code" in
    0|5) exit 0 ;;
    75) exit 99 ;;
    3) echo "the data contract is broken; see the rules above"; exit 3 ;;
    *) exit "$code" ;;
esac
"""

with DAG(
    dag_id="clv_retrain",
    description="Retrain, judge and score customer lifetime values",
    schedule="10 3 * * *",
    start_date=datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc),  # noqa: UP017
    catchup=False,
    max_active_runs=1,
    tags=["clv"],
) as dag:
    BashOperator(
        task_id="retrain",
        bash_command=COMMAND,
        skip_on_exit_code=99,
        append_env=True,
        retries=1,
        retry_delay=datetime.timedelta(minutes=15),
        execution_timeout=datetime.timedelta(hours=2),
    )

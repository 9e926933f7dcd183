"""The night job as an Airflow DAG.

A night is run for the day that has just ended, ``{{ ds }}`` of a daily schedule, so clearing a
task in the past replays that night with what was known then. Exit codes: 0 and 5 (the challenger
was refused, the champion has scored everybody) are successes; 75 (another run is at work) skips
the task; 3 (the data contract is broken) fails it without a retry, since the data will not get
better by themselves; anything else is tried again.
"""

from __future__ import annotations

import datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

# Airflow's own codes: 99 skips the task, and one that is not retried raises AirflowFailException;
# for bash that is done by leaving no retries for it.
COMMAND = """
set -u
cd "${CLV_HOME:-/var/lib/clv}"
code=0
"${CLV_BIN:-/opt/clv/bin/clv}" retrain "${CLV_CONFIG:-/etc/clv/clv.toml}" \\
    --as-of "{{ ds }}" --wait 600 || code=$?
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

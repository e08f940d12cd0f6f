"""A champion that cannot be used any more may be replaced without a comparison."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ACTIONS = (
    "'first', 'challenge', 'refuse', 'wait', 'to_part', 'to_all', 'drop', 'roll_back',"
    " 'training_failed', 'replace'"
)


def upgrade() -> None:
    op.execute(
        "alter table warehouse.model_audit"
        " drop constraint model_audit_action_check,"
        f" add constraint model_audit_action_check check (action in ({ACTIONS})),"
        " drop constraint few_actions_change_the_champion,"
        " add constraint few_actions_change_the_champion check ("
        "champion_before is not distinct from champion_after"
        " or (action = 'first' and champion_before is null)"
        " or action in ('to_all', 'roll_back', 'replace'))"
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward: restore a backup instead.")

"""Accounts and their cash: open, status, caps, group, deposits and withdrawals (rules A1-A5, G3)."""

from typing import assert_never

from engine.core.decide.terms import terms_of, with_liquidations
from engine.core.decide.work import Work, rejected
from engine.core.figures import figures
from engine.core.ledger import cash_postings
from engine.core.margin import withdrawable_micros
from engine.core.state import Account
from engine.messages import commands as cmd
from engine.messages.events import (
    AccountLeverageCapChanged,
    AccountOpened,
    AccountStatusChanged,
    CashPosted,
    CashRefused,
)
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Rejected
from engine.values import SAFE_INTEGER_MAX, CashKind


def open_account(work: Work, command: cmd.OpenAccount) -> Accepted | Rejected:
    """Open an account with its group's terms (rule A1)."""
    if command.account in work.state.accounts:
        return rejected(RejectCode.ACCOUNT_EXISTS, account=command.account)
    group = work.state.groups.get(command.group)
    if group is None:
        return rejected(RejectCode.GROUP_UNKNOWN, group=command.group)
    work.emit(
        AccountOpened(
            account=command.account,
            seq=1,
            owner_id=command.owner_id,
            kind=command.kind,
            margin_mode=command.margin_mode,
            leverage_cap=command.leverage_cap,
            terms=terms_of(group),
            opened_at_us=work.now_us,
        )
    )
    return Accepted()


def set_status(work: Work, account: Account, command: cmd.SetAccountStatus) -> Accepted | Rejected:
    """Let an account trade, only reduce, or nothing (rule A2)."""
    if command.status is not account.status:
        work.emit(
            AccountStatusChanged(
                account=account.account, seq=account.seq + 1, status=command.status
            )
        )
    return Accepted()


def set_leverage_cap(
    work: Work, account: Account, command: cmd.SetAccountLeverageCap
) -> Accepted | Rejected:
    """Set the account's own leverage cap; open positions keep theirs (rule A3)."""
    if command.leverage_cap != account.leverage_cap:
        work.emit(
            AccountLeverageCapChanged(
                account=account.account, seq=account.seq + 1, leverage_cap=command.leverage_cap
            )
        )
    return Accepted()


def set_group(work: Work, account: Account, command: cmd.SetAccountGroup) -> Accepted | Rejected:
    """Move an account to another group; it takes that group's terms at once (rule A4)."""
    group = work.state.groups.get(command.group)
    if group is None:
        return rejected(RejectCode.GROUP_UNKNOWN, group=command.group)
    event = with_liquidations(work, account, terms_of(group))
    if event is not None:
        work.emit(event)
        work.touch(account, may_stop_out=False)
    return Accepted()


def post_cash(work: Work, account: Account, command: cmd.PostCash) -> Accepted | Rejected:
    """Decide a cash command once: the number after the last is decided, and a refusal consumes it too (rule A5)."""
    expected = account.cash_seq + 1
    if command.cash_seq != expected:
        is_gap = command.cash_seq > expected
        return rejected(
            RejectCode.CASH_GAP if is_gap else RejectCode.CASH_ALREADY_DECIDED,
            cash_seq=command.cash_seq,
            cash_seq_expected=expected,
        )
    amount = command.amount_micros
    refusal = _check_cash(work, account, command)
    if refusal:
        work.emit(
            CashRefused(
                account=account.account,
                seq=account.seq + 1,
                cash_seq=command.cash_seq,
                kind=command.kind,
                amount_micros=amount,
                method=command.method,
                reference=command.reference,
                code=refusal.code,
                data=refusal.data,
            )
        )
        return refusal
    client, pending = _cash_effect(command.kind, amount)
    work.emit(
        CashPosted(
            account=account.account,
            seq=account.seq + 1,
            cash_seq=command.cash_seq,
            kind=command.kind,
            amount_micros=amount,
            method=command.method,
            reference=command.reference,
            balance_micros=account.balance_micros + client,
            postings=cash_postings(
                account, client_micros=client, pending_micros=pending, method=command.method
            ),
        )
    )
    work.touch(account, may_stop_out=True)
    return Accepted()


def _cash_effect(kind: CashKind, amount: int) -> tuple[int, int]:
    """Return what a cash command does to the client and to cash:pending, micro-USD; the rest is the method's."""
    match kind:
        case CashKind.WITHDRAWAL:
            return -amount, amount
        case CashKind.SETTLE:
            return 0, -amount
        case CashKind.RETURN:
            return amount, -amount
        case CashKind.DEPOSIT | CashKind.BONUS | CashKind.ADJUSTMENT:
            return amount, 0
        case _:
            assert_never(kind)


def _check_cash(work: Work, account: Account, command: cmd.PostCash) -> Rejected | None:
    amount = command.amount_micros
    client, pending = _cash_effect(command.kind, amount)
    may_be_negative = command.kind is CashKind.ADJUSTMENT
    is_signed_right = amount != 0 if may_be_negative else amount > 0
    if not is_signed_right or abs(account.balance_micros + client) > SAFE_INTEGER_MAX:
        return rejected(
            RejectCode.AMOUNT_INVALID, amount_micros=amount, balance_micros=account.balance_micros
        )
    if client < 0:
        sums = figures(work.state, account)
        withdrawable = withdrawable_micros(
            account.balance_micros, sums.isolated_margin, sums.cross_unrealised, sums.used_margin
        )
        if -client > withdrawable:
            return rejected(
                RejectCode.WITHDRAWABLE_INSUFFICIENT,
                amount_micros=-client,
                withdrawable_micros=withdrawable,
            )
    if pending < 0 and -pending > account.cash_pending_micros:
        return rejected(
            RejectCode.PENDING_CASH_INSUFFICIENT,
            amount_micros=amount,
            pending_micros=account.cash_pending_micros,
        )
    return None

"""Rules A1-A5, G1-G3, M4: accounts, their cash, and the books."""

from tests.engine.scenarios.story import Story


def test_cash_moves_between_the_books() -> None:
    story = Story().tell("""
        account 1 1000.00
        account 2 kind=live
        cash 2 deposit 500.00 -> CashPosted balance=500.00
        cash 1 withdrawal 100.00 -> CashPosted balance=900.00
        cash 1 withdrawal 50.00 -> CashPosted balance=850.00
        cash 1 settle 100.00 -> CashPosted balance=850.00
        cash 1 return 50.00 -> CashPosted balance=900.00
        cash 1 return 0.01 -> PENDING_CASH_INSUFFICIENT pending_micros=0
        cash 1 settle 0.01 -> PENDING_CASH_INSUFFICIENT
        cash 1 adjustment -0.50 -> CashPosted balance=899.50
        cash 1 adjustment 0.25 -> CashPosted balance=899.75
        cash 1 bonus 10.00 -> CashPosted balance=909.75
        """)

    assert story.machine.state.house == {
        "demo:cash:bank": -909_750_000,
        "demo:cash:pending": 0,
        "live:cash:bank": -500_000_000,
    }


def test_withdrawals_stop_at_what_is_withdrawable() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 0.10 x20
        state 1 withdrawable=696.5496
        cash 1 withdrawal 696.549601 -> WITHDRAWABLE_INSUFFICIENT withdrawable_micros=696.5496
        quote BTCUSDT 61000.0 61010.0
        cash 1 withdrawal 697.5497 -> WITHDRAWABLE_INSUFFICIENT withdrawable_micros=697.5496
        cash 1 adjustment -697.5497 -> WITHDRAWABLE_INSUFFICIENT
        cash 1 withdrawal 697.5496 -> CashPosted balance=300.05
        """)


def test_amounts_must_fit_their_kind() -> None:
    Story().tell("""
        account 1
        cash 1 deposit 0 -> AMOUNT_INVALID
        cash 1 deposit -1.00 -> AMOUNT_INVALID
        cash 1 bonus -1.00 -> AMOUNT_INVALID
        cash 1 adjustment 0 -> AMOUNT_INVALID
        cash 1 withdrawal 1.00 -> WITHDRAWABLE_INSUFFICIENT
        cash 1 deposit 9007199254.740991 -> CashPosted
        cash 1 deposit 0.000001 -> AMOUNT_INVALID balance_micros=9007199254.740991
        cash 9 deposit 1.00 -> ACCOUNT_UNKNOWN
        """)


def test_each_cash_number_is_decided_once_even_when_refused() -> None:
    story = Story().tell("""
        account 1 1000.00
        cash 1 withdrawal 2000.00 -> WITHDRAWABLE_INSUFFICIENT
        state 1 cash_seq=2
        cash 1 withdrawal 1.00 cash_seq=2 -> CASH_ALREADY_DECIDED cash_seq_expected=3
        cash 1 withdrawal 1.00 cash_seq=4 -> CASH_GAP
        cash 1 withdrawal 1.00 cash_seq=3 -> CashPosted
        """)
    refused = story.send(
        "PostCash", account=1, cash_seq=4, kind="settle", amount_micros=5_000_000, method="bank"
    )

    assert refused is not None
    assert [type(event).__name__ for event in refused.events] == ["CashRefused"]


def test_cash_has_no_deadline() -> None:
    story = Story().tell("account 1 1000.00")

    late = story.send(
        "PostCash",
        account=1,
        actor="client",
        user_id=7,
        deadline_us=1,
        cash_seq=2,
        kind="withdrawal",
        amount_micros=1_000_000,
        method="bank",
    )

    assert late is not None
    assert [type(event).__name__ for event in late.events] == ["CashPosted"]


def test_accounts_open_once_in_a_known_group() -> None:
    Story().tell("""
        account 1 -> AccountOpened owner_id=7 leverage_cap=100
        account 1 -> ACCOUNT_EXISTS
        account 2 group=nope -> GROUP_UNKNOWN group=nope
        togroup 1 nope -> GROUP_UNKNOWN
        togroup 9 standard -> ACCOUNT_UNKNOWN
        """)


def test_status_says_what_an_account_may_do() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 0.10 x100
        open O 1 BTCUSDT buy 0.10 x100 limit price=50000.0
        status 1 close_only -> AccountStatusChanged status=close_only
        status 1 close_only -> nothing
        open Q 1 BTCUSDT buy 0.10 x100 -> ACCOUNT_CLOSE_ONLY
        reverse P Q -> ACCOUNT_CLOSE_ONLY
        stops P sl=59000.0 -> PositionModified
        close P quantity=0.05 -> PositionClosed
        status 1 suspended -> AccountStatusChanged
        open Q 1 BTCUSDT buy 0.10 x100 -> ACCOUNT_SUSPENDED
        close P -> ACCOUNT_SUSPENDED
        closeall 1 -> ACCOUNT_SUSPENDED
        closeby P P -> ACCOUNT_SUSPENDED
        cancel O -> ACCOUNT_SUSPENDED
        cancelall 1 -> ACCOUNT_SUSPENDED
        modify O price=51000.0 -> ACCOUNT_SUSPENDED
        stops P sl=none -> ACCOUNT_SUSPENDED
        add P amount=1.00 -> ACCOUNT_SUSPENDED
        remove P amount=1.00 -> ACCOUNT_SUSPENDED
        cash 1 withdrawal 1.00 -> CashPosted
        cancelall 1 actor=operator -> OrderCancelled cancel_reason=operator
        closeall 1 actor=operator -> PositionClosed close_reason=operator
        """)


def test_leverage_caps_bind_new_orders_only() -> None:
    Story(leverage_cap=60).tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 0.01 x61 -> LEVERAGE_INVALID leverage=61 leverage_max=60
        open P 1 BTCUSDT buy 0.01 x60 -> PositionOpened
        cap 1 20 -> AccountLeverageCapChanged leverage_cap=20
        cap 1 20 -> nothing
        open Q 1 BTCUSDT buy 0.01 x21 -> LEVERAGE_INVALID leverage_max=20
        position P leverage=60
        """)


def test_terms_reach_accounts_page_by_page() -> None:
    Story().tell("""
        account 1 1000.00
        account 2 1000.00
        quote BTCUSDT 60000.0 60010.0
        open I 1 BTCUSDT buy 0.10 x10 mode=isolated -> PositionOpened commission=2.4004 liquidation=54247.6
        group standard version=2 commission_ppm=1000 -> GroupDefined; AccountTermsChanged account=1; AccountTermsChanged account=2
        position I liquidation=54280.4
        open J 2 BTCUSDT buy 0.10 x100 -> PositionOpened commission=6.001
        group standard version=2 commission_ppm=1000 -> nothing
        group pro version=1 -> GroupDefined
        togroup 2 pro -> AccountTermsChanged
        togroup 2 pro -> nothing
        open K 2 BTCUSDT buy 0.10 x100 -> PositionOpened commission=2.4004
        """)

"""REST of real money: apply for a live account, tell who one is, pay in, have paid out."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.envelope import success
from apps.common.errors import ServiceError
from apps.common.money import number_from_micros
from apps.common.openapi import enveloped
from apps.common.requests import REQUEST_ID_PATTERN, idempotency_key_of, user_id_of
from apps.common.step_up import step_up_require
from apps.common.views import ContractView
from apps.profile import selectors
from apps.profile.choices import CashKind
from apps.profile.models import CashRequest
from apps.profile.serializers import (
    AccountSerializer,
    CashRequestSerializer,
    DepositMadeSerializer,
    DepositWishSerializer,
    KycStateSerializer,
    KycWishSerializer,
    LiveWishSerializer,
    WithdrawalWishSerializer,
)
from apps.profile.services.kyc import (
    LIMITS,
    KycWish,
    kyc_file,
    kyc_state,
    kyc_submit,
    live_apply,
)
from apps.profile.services.kyc_documents import document_add, documents_of
from apps.profile.services.payments import provider_for
from apps.profile.services.requests import (
    CashWish,
    deposit_request,
    request_cancel,
    requests_of_account,
    withdrawal_request,
)
from apps.profile.views.accounts import amount_micros_of

_FAILURES = (400, 401, 403, 404, 408, 409, 423, 429, 503)
_IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    required=True,
    pattern=REQUEST_ID_PATTERN,
    description="Your id of this request: the same id and content is one request.",
)


def guest_refuse(request: Request) -> None:
    """Refuse guests: real money needs an address.

    Errors: ServiceError GUEST_FORBIDDEN.
    """
    if getattr(request.user, "is_guest", False):
        step_up_require(request)


class LiveAccountsView(ContractView):
    """Apply for a live account; it opens when the KYC file is approved."""

    @extend_schema(
        operation_id="accounts_live",
        request=LiveWishSerializer,
        responses=enveloped(
            AccountSerializer, name="LiveAccount", status=201, failures=(400, 401, 403, 409)
        ),
        tags=["accounts"],
    )
    def post(self, request: Request) -> Response:
        body = LiveWishSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        guest_refuse(request)
        account = live_apply(user_id=user_id_of(request), name=body.validated_data["name"])
        return Response(success(AccountSerializer(account).data), status=201)

    @extend_schema(
        operation_id="accounts_live_list",
        responses=enveloped(AccountSerializer(many=True), name="LiveAccounts", failures=(401,)),
        tags=["accounts"],
    )
    def get(self, request: Request) -> Response:
        accounts = selectors.accounts_of_user(user_id=user_id_of(request))
        live = [account for account in accounts if account.kind == "live"]
        return Response(success(AccountSerializer(live, many=True).data))


class KycView(ContractView):
    """Who the user is: the state of the file, and what may move with it."""

    @extend_schema(
        operation_id="kyc_state",
        responses=enveloped(KycStateSerializer, name="KycState", failures=(401,)),
        tags=["accounts"],
    )
    def get(self, request: Request) -> Response:
        return Response(success(_kyc(user_id_of(request))))

    @extend_schema(
        operation_id="kyc_submit",
        request=KycWishSerializer,
        responses=enveloped(
            KycStateSerializer, name="KycSubmitted", status=201, failures=(400, 401, 403, 409)
        ),
        tags=["accounts"],
    )
    def post(self, request: Request) -> Response:
        body = KycWishSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        guest_refuse(request)
        data = body.validated_data
        user_id = user_id_of(request)
        kyc_submit(
            user_id=user_id,
            wish=KycWish(
                full_name=data["fullName"],
                birth_date=data["birthDate"],
                country=data["country"].upper(),
                address=data["address"],
                document_kind=data["documentKind"],
                document_number=data["documentNumber"],
            ),
        )
        return Response(success(_kyc(user_id)), status=201)


class KycDocumentsView(ContractView):
    """Pictures and scans that prove who the user is; only staff can open them."""

    parser_classes = (MultiPartParser,)

    @extend_schema(
        operation_id="kyc_document_add",
        request={
            "multipart/form-data": {
                "type": "object",
                "properties": {"file": {"type": "string", "format": "binary"}},
                "required": ["file"],
            }
        },
        responses=enveloped(
            KycStateSerializer,
            name="KycDocumentTaken",
            status=201,
            failures=(400, 401, 403, 409, 413, 415, 429),
        ),
        description="JPEG, PNG or PDF, at most 4 MiB, eight in all.",
        tags=["accounts"],
    )
    def post(self, request: Request) -> Response:
        guest_refuse(request)
        file = request.FILES.get("file")
        if file is None:
            raise ServiceError("INVALID", "file: expected a file", data={"field": "file"})
        user_id = user_id_of(request)
        document_add(user_id=user_id, name=file.name or "", content=file.read())
        return Response(success(_kyc(user_id)), status=201)


def _kyc(user_id: int) -> dict[str, object]:
    state, file = kyc_state(user_id=user_id), kyc_file(user_id=user_id)
    limits = LIMITS[state]
    return {
        "state": state.value,
        "reason": file.reason if file else "",
        "submittedAt": file.submitted_at if file else None,
        "expiresAt": file.expires_at if file else None,
        "depositPerDay": number_from_micros(limits.deposit_micros),
        "withdrawalPerDay": number_from_micros(limits.withdrawal_micros),
        "documents": [
            {"name": row.name, "size": row.size, "uploadedAt": row.uploaded_at}
            for row in documents_of(user_id=user_id)
        ],
    }


class DepositsView(ContractView):
    """Money to be paid in to a live account, newest first."""

    @extend_schema(
        operation_id="deposits_list",
        responses=enveloped(CashRequestSerializer(many=True), name="Deposits", failures=(401, 404)),
        tags=["accounts"],
    )
    def get(self, request: Request, account_id: int) -> Response:
        return _listed(request, account_id, CashKind.DEPOSIT)

    @extend_schema(
        operation_id="deposits_request",
        parameters=[_IDEMPOTENCY],
        request=DepositWishSerializer,
        responses=enveloped(DepositMadeSerializer, status=201, failures=_FAILURES),
        tags=["accounts"],
    )
    def post(self, request: Request, account_id: int) -> Response:
        body = DepositWishSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wish = _wish(request, account_id, body.validated_data)
        made = deposit_request(wish=wish)
        instructions = provider_for(made.method).deposit_instructions(reference=made.reference)
        return Response(success({**_shape(made), "instructions": instructions}), status=201)


class WithdrawalsView(ContractView):
    """Money to be paid out of a live account, newest first."""

    @extend_schema(
        operation_id="withdrawals_list",
        responses=enveloped(
            CashRequestSerializer(many=True), name="Withdrawals", failures=(401, 404)
        ),
        tags=["accounts"],
    )
    def get(self, request: Request, account_id: int) -> Response:
        return _listed(request, account_id, CashKind.WITHDRAWAL)

    @extend_schema(
        operation_id="withdrawals_request",
        parameters=[_IDEMPOTENCY],
        request=WithdrawalWishSerializer,
        responses=enveloped(
            CashRequestSerializer, name="WithdrawalMade", status=201, failures=_FAILURES
        ),
        description="Needs the device's `pin`, or in a browser a sign-in of the last five minutes.",
        tags=["accounts"],
    )
    def post(self, request: Request, account_id: int) -> Response:
        body = WithdrawalWishSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wish = _wish(request, account_id, body.validated_data)
        made = withdrawal_request(
            wish=wish,
            approve=lambda text: step_up_require(
                request, pin=body.validated_data["pin"], needs_factor=True, approves=text
            ),
        )
        return Response(success(_shape(made)), status=201)


class CashRequestView(ContractView):
    """One request, to be taken back."""

    kind: CashKind

    def _cancel(self, request: Request, account_id: int, cash_id: int) -> Response:
        cancelled = request_cancel(
            user_id=user_id_of(request), account_id=account_id, cash_id=cash_id, kind=self.kind
        )
        return Response(success(_shape(cancelled)))


class DepositView(CashRequestView):
    """One deposit that was not confirmed yet."""

    kind = CashKind.DEPOSIT

    @extend_schema(
        operation_id="deposits_cancel",
        responses=enveloped(
            CashRequestSerializer, name="DepositCancelled", failures=(401, 404, 409)
        ),
        tags=["accounts"],
    )
    def delete(self, request: Request, account_id: int, cash_id: int) -> Response:
        return self._cancel(request, account_id, cash_id)


class WithdrawalView(CashRequestView):
    """One withdrawal that nobody has approved yet."""

    kind = CashKind.WITHDRAWAL

    @extend_schema(
        operation_id="withdrawals_cancel",
        responses=enveloped(
            CashRequestSerializer,
            name="WithdrawalCancelled",
            failures=(401, 404, 408, 409, 503),
        ),
        tags=["accounts"],
    )
    def delete(self, request: Request, account_id: int, cash_id: int) -> Response:
        return self._cancel(request, account_id, cash_id)


def _wish(request: Request, account_id: int, data: dict[str, str]) -> CashWish:
    return CashWish(
        user_id=user_id_of(request),
        account_id=account_id,
        amount_micros=amount_micros_of(data["amount"]),
        method=data["method"],
        destination=data.get("destination", ""),
        request_id=idempotency_key_of(request, is_required=True),
    )


def _listed(request: Request, account_id: int, kind: CashKind) -> Response:
    rows = requests_of_account(user_id=user_id_of(request), account_id=account_id, kind=kind)
    return Response(success([_shape(row) for row in rows]))


def _shape(row: CashRequest) -> dict[str, object]:
    return {
        "id": row.pk,
        "accountId": row.account_id,
        "kind": row.kind,
        "amount": number_from_micros(row.amount_micros),
        "method": row.method,
        "reference": row.reference,
        "destination": row.destination,
        "state": row.state,
        "code": row.code,
        "createdAt": row.created_at,
        "decidedAt": row.decided_at,
    }

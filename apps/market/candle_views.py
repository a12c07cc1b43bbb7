"""What operators ask about candles: how they are, and that they be brought up to date."""

import psycopg
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rq.job import Job

from apps.common.clock import now_us
from apps.common.envelope import success
from apps.common.errors import ServiceError
from apps.common.service_keys import IsStaffOrService
from apps.common.views import ContractView
from apps.market.candles.answers import interval_from
from apps.market.candles.diagnostics import diagnostics
from apps.market.candles.intervals import INTERVALS
from apps.market.candles.reader import CandlesUnavailableError
from apps.market.selectors import instrument_resolve, instruments
from apps.market.serializers import (
    CANDLE_DIAGNOSTICS,
    CANDLE_REFRESH,
    CANDLE_REFRESH_PROGRESS,
    RefreshWishSerializer,
)
from apps.market.tasks import refresh_job, refresh_schedule


class CandleDiagnosticsView(ContractView):
    permission_classes = (AllowAny,)
    authentication_classes = ()
    parameters = ("symbol", "interval")

    @extend_schema(
        operation_id="candles_diagnostics",
        parameters=[
            OpenApiParameter("symbol", str, description="One symbol, with its gaps; else all"),
            OpenApiParameter("interval", str, enum=list(INTERVALS)),
        ],
        responses=CANDLE_DIAGNOSTICS,
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """Say what is stored, what is missing, how late it is and where it came from."""
        symbol, interval = request.query_params.get("symbol"), request.query_params.get("interval")
        symbols = (
            [i.symbol for i in instruments()]
            if symbol is None
            else [instrument_resolve(symbol).symbol]
        )
        intervals = list(INTERVALS.values()) if interval is None else [interval_from(interval)]
        try:
            return Response(success(diagnostics(symbols, intervals, now_us() // 1000)))
        except psycopg.Error as error:
            raise CandlesUnavailableError from error


class CandleRefreshView(ContractView):
    """For the staff, and for programs with a service key."""

    permission_classes = (IsStaffOrService,)
    parameters = ("jobId",)

    @extend_schema(
        operation_id="candles_refresh",
        request=RefreshWishSerializer,
        responses=CANDLE_REFRESH,
        tags=["market"],
    )
    def post(self, request: Request) -> Response:
        """Queue a refresh: gaps filled from the venue (`force`: every minute taken anew), longer candles mended.

        With `interval` only that: 1m fills minutes, a longer one mends the candles up to it.
        """
        body = RefreshWishSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wish = body.validated_data
        job = refresh_schedule(wish.get("symbol"), wish.get("interval"), is_forced=wish["force"])
        return Response(success(_job(job)), status=202)

    @extend_schema(
        operation_id="candles_refresh_progress",
        parameters=[OpenApiParameter("jobId", str, required=True)],
        responses=CANDLE_REFRESH_PROGRESS,
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """Say how far a refresh has come."""
        job_id = request.query_params.get("jobId", "")[:80]
        job = refresh_job(job_id) if job_id.startswith("candles-") else None
        if job is None:
            raise ServiceError("JOB_UNKNOWN", f"there is no refresh {job_id!r}", http_status=404)
        return Response(success(_job(job)))


def _job(job: Job) -> dict[str, object]:
    return {
        "jobId": job.id,
        "status": str(job.get_status(refresh=True).value),
        "progress": job.get_meta().get("progress"),
        "result": job.return_value() if job.is_finished else None,
    }

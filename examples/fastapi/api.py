"""The API: takes messages, and shows what was delivered."""

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from kombu.exceptions import OperationalError
from shop import deliver, record

api = FastAPI()


# A plain `def`: FastAPI runs it in a thread, and the event loop does not wait for Redis.
@api.post("/customers/{customer}/messages", status_code=202)
def post_message(customer: str, text: str) -> dict[str, str]:
    return {"id": deliver.delay(customer, text).id}


@api.get("/customers/{customer}/messages")
def list_messages(customer: str) -> list[str]:
    return [str(text) for text in record.lrange(f"delivered:{customer}", 0, -1)]


@api.delete("/customers/{customer}/messages", status_code=204)
def forget_messages(customer: str) -> None:
    record.delete(f"delivered:{customer}")


@api.exception_handler(OperationalError)
async def away(request: object, error: OperationalError) -> JSONResponse:
    """Answer when Redis is away: nothing was sent, so the client may try again."""
    return JSONResponse({"detail": "try again later"}, status_code=503)

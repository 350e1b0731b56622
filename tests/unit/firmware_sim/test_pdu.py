"""The protocol between framing and bank."""

from hypothesis import example, given
from hypothesis import strategies as st

from firmware_sim.pdu import PDU_BYTES_MAX, answer
from firmware_sim.plant_config import DeviceConfig, DeviceKind
from tests.support.branches import Branches
from tests.support.modbus.simulator import bench, home

BANK = bench(home(device=DeviceConfig(id="inverter", kind=DeviceKind.SUNSPEC_HYBRID))).device.bank

FUNCTIONS = st.sampled_from([1, 2, 3, 4, 5, 6, 15, 16, 23, 43, 0, 255]) | st.integers(0, 255)
NEAR = st.integers(39_990, 40_400) | st.integers(0, 65_535)
REQUESTS = st.one_of(
    st.binary(min_size=1, max_size=PDU_BYTES_MAX),
    st.builds(
        lambda function, address, count: bytes((function,)) + address.to_bytes(2, "big") + count.to_bytes(2, "big"),
        st.sampled_from([3, 4]),
        st.integers(39_990, 40_080),
        st.integers(0, 8),
    ),
    st.builds(
        lambda function, address, rest: bytes((function,)) + address.to_bytes(2, "big") + rest,
        FUNCTIONS,
        NEAR,
        st.binary(max_size=20),
    ),
)


_replies = Branches("refused", "answered")


@_replies
@given(request=REQUESTS)
@example(request=bytes((3,)) + (40_000).to_bytes(2, "big") + (2).to_bytes(2, "big"))
@example(request=bytes((99,)))
def test_every_request_has_an_answer_that_fits(request: bytes) -> None:
    """A simulator that falls over teaches a gateway nothing; whatever comes, a well-formed PDU goes back."""
    reply = answer(BANK, request)
    assert 2 <= len(reply) <= PDU_BYTES_MAX
    assert reply[0] & 0x7F == request[0] & 0x7F
    _replies.met("refused" if reply[0] & 0x80 else "answered")
    if reply[0] & 0x80:
        assert len(reply) == 2
        assert reply[1] in (1, 2, 3, 4)

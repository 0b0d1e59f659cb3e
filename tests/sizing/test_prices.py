"""Cards, machines and prices: dated, published, and unknown where there is no published figure."""

from __future__ import annotations

import http.server
import json
import threading

import pytest

from ftsdk.errors import DataError, UnavailableError
from ftsdk.sizing.catalogue import all_instances, card_of, instance_of, instances_of
from ftsdk.sizing.price.price_file import price_file, save
from ftsdk.sizing.price.prices import over_budget, packaged_prices, price_of
from ftsdk.sizing.price.refresh import sagemaker_prices, skypilot_catalogue
from ftsdk.sizing.tables import rows
from ftsdk.sizing.time.remaining import remaining


def test_usable_memory_is_less_than_the_box_says():
    for name, box in (("A10G", 24), ("A100-80GB", 80), ("A100-40GB", 40), ("T4", 16), ("H200", 141)):
        assert 0.9 * box < card_of(name).usable_gib < box


def test_every_machine_has_a_known_card():
    for instance in all_instances():
        assert card_of(instance.card).usable_gib > 0
        assert instance.cards >= 1
    assert instance_of("ml.p4d.24xlarge").cards == 8
    assert all(len(instances_of(provider)) > 50 for provider in ("sagemaker", "aws", "alibaba"))


def test_every_price_has_a_date_and_a_source():
    for row in rows("prices.csv"):
        assert float(row["usd_per_hour"]) > 0
        assert row["date"]
        assert row["source"]


def test_a_price_of_another_region_is_unknown():
    prices = packaged_prices()
    assert price_of("sagemaker", "ml.p5.48xlarge", "us-west-2", prices).usd_per_hour == 63.296
    assert price_of("sagemaker", "ml.p5.48xlarge", None, prices).region == "us-west-2"
    assert price_of("sagemaker", "ml.p5.48xlarge", "eu-west-1", prices) is None
    assert price_of("alibaba", "ecs.gn8e.6xlarge", None, prices) is None


def test_an_estimate_over_the_budget_is_reported():
    assert over_budget(hours=2, cost_usd=10, max_hours=3, max_cost_usd=20) == ()
    assert over_budget(hours=2, cost_usd=10, max_hours=None, max_cost_usd=None) == ()
    (cost,) = over_budget(hours=2, cost_usd=30, max_hours=3, max_cost_usd=20)
    assert cost == "The estimate is 30 USD, over max_cost_usd of 20 USD."
    (unknown,) = over_budget(hours=2, cost_usd=None, max_hours=None, max_cost_usd=20)
    assert "does not know the cost_usd" in unknown


def test_the_first_steps_say_how_long_it_takes():
    points = [(0, 0.0), (10, 60.0), (20, 80.0), (30, 100.0), (40, 120.0)]  # the first interval compiles
    found = remaining(points, 1840, usd_per_hour=6.0)
    assert found.hours == pytest.approx(1.0)
    assert found.cost_usd == pytest.approx(6.0)
    assert found.hours_low == found.hours_high == pytest.approx(1.0)
    assert remaining(points[:2], 100) is None


def test_uneven_steps_make_a_range():
    points = [(0, 0.0), (1, 9.0), (2, 10.0), (3, 13.0), (4, 14.0), (5, 17.0)]
    found = remaining(points, 105)
    assert found.hours == pytest.approx(100 * 2 / 3600)
    assert found.hours_low < found.hours < found.hours_high


@pytest.fixture
def price_list():
    """An AWS price list on loopback: a training price, a hosting price and a reservation."""
    product = {"attributes": {"usagetype": "USW2-Train:ml.g5.xlarge", "regionCode": "us-west-2"}}
    hosting = {"attributes": {"usagetype": "USW2-Host:ml.g5.xlarge"}}
    term = {"t": {"priceDimensions": {"d": {"pricePerUnit": {"USD": "1.4080000000"}, "unit": "Hrs"}}}}
    offer = {
        "publicationDate": "2026-11-01T00:00:00Z",
        "products": {"A": product, "B": hosting, "C": {"attributes": {}}},
        "terms": {"OnDemand": {"A": term, "B": term}},
    }

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/offers/v1.0/aws/AmazonSageMaker/current/us-west-2/index.json"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps(offer).encode() if found else b"")

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_fresh_sagemaker_prices_can_be_saved_and_used(price_list, tmp_path):
    table = sagemaker_prices("us-west-2", base_url=price_list)
    assert [row["instance"] for row in table] == ["ml.g5.xlarge"]
    save(table, tmp_path / "prices.csv")
    price = price_of("sagemaker", "ml.g5.xlarge", "us-west-2", price_file(tmp_path / "prices.csv"))
    assert (price.usd_per_hour, price.date) == (1.408, "2026-11-01")


def test_a_price_list_that_cannot_be_had_is_an_error_with_a_next_step(price_list):
    with pytest.raises(UnavailableError, match="try again later"):
        sagemaker_prices("nowhere-1", base_url=price_list)


def test_skypilot_s_catalogue_is_read_where_it_is(tmp_path):
    (tmp_path / "aws").mkdir()
    (tmp_path / "aws" / "vms.csv").write_text(
        "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice,AvailabilityZone\n"
        "p5.48xlarge,H100,8.0,192.0,2048.0,55.04,us-east-1,,20.5,us-east-1a\n"
        "c5.large,,,2.0,4.0,0.085,us-east-1,,0.03,us-east-1a\n"
    )
    machines, prices = skypilot_catalogue(tmp_path)
    assert [(m.name, m.card, m.cards) for m in machines] == [("p5.48xlarge", "H100-80GB", 8)]
    price = price_of("aws", "p5.48xlarge", "us-east-1", prices)
    assert (price.usd_per_hour, price.spot_usd_per_hour) == (55.04, 20.5)


def test_a_price_file_is_checked(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("provider,instance\nalibaba,ecs.gn7e\n")
    with pytest.raises(DataError, match="region, usd_per_hour, date, source are missing"):
        price_file(path)
    path.write_text("provider,instance,region,usd_per_hour,date,source\na,b,c,cheap,d,e\n")
    with pytest.raises(DataError, match="row 2: usd_per_hour 'cheap' is not a number"):
        price_file(path)

"""Data to try things on: CDNOW from the lifetimes wheel, and the generated shop of a checkout."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from clv.errors import DataError, UnreadableFileError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Dataset", "Shop", "list_datasets", "load_cdnow", "load_shop"]

_INSTALL_LIFETIMES = 'pip install "predictive-clv[lifetimes]"'
_CDNOW_FILES = {"sample": "CDNOW_sample.txt", "master": "CDNOW_master.txt"}


class Dataset(NamedTuple):
    """One data set, for `clv datasets`.

    `path` is where its (main) file was found, and None where it is not to be had; `remedy` then
    says what to do.
    """

    name: str
    title: str
    loader: str
    source: str
    licence: str
    path: Path | None
    remedy: str

    @property
    def available(self) -> bool:
        """Whether it can be loaded now."""
        return self.path is not None


class Shop(NamedTuple):
    """Where the files of the generated shop are; data/shop/SOURCE.md tells their columns."""

    orders: Path
    customers: Path
    orders_jalali: Path

    @property
    def columns(self) -> dict[str, str]:
        """The arguments of `read_transactions` that fit `orders`."""
        return {
            "customer_id": "customer_id",
            "date": "timestamp",
            "quantity": "quantity",
            "unit_price": "unit_price",
            "order_id": "order_id",
        }

    @property
    def columns_jalali(self) -> dict[str, str]:
        """The arguments of `read_transactions` that fit `orders_jalali`."""
        return {
            "customer_id": "مشتری",
            "date": "تاریخ",
            "amount": "مبلغ",
            "order_id": "شماره سفارش",
            "calendar": "jalali",
        }


def load_cdnow(which: Literal["sample", "master"] = "sample") -> pd.DataFrame:
    """Read CDNOW: who bought CDs for the first time in early 1997, followed for 18 months.

    The file is found inside the installed lifetimes wheel; that package is not imported.

    Parameters
    ----------
    which
        "sample", the 1/10 sample of 2,357 customers that the papers use, or "master", the whole
        cohort of 23,570.

    Returns
    -------
    pandas.DataFrame
        One row per transaction, in the order of the file: `customer_id` (integer, numbered within
        the file), `date` (datetime64, midnight), `quantity` (CDs), `amount` (US dollars). A
        customer may have several rows on one day, and rows of $0.00, which are purchases.

    Raises
    ------
    UnreadableFileError
        If lifetimes is not installed, or lacks the file.
    DataError
        If `which` is neither "sample" nor "master".

    References
    ----------
    Fader, P. S. & Hardie, B. G. S. (2001), Interfaces 31(3), S94-S107.

    Examples
    --------
    >>> cdnow = load_cdnow()
    >>> cdnow["customer_id"].nunique(), str(cdnow["date"].max().date())
    (2357, '1998-06-30')
    """
    if which not in _CDNOW_FILES:
        raise DataError(f"load_cdnow knows 'sample' and 'master', not {which!r}")
    path = _cdnow_path(which)
    if path is None:
        raise UnreadableFileError(
            f"{_CDNOW_FILES[which]} ships inside the lifetimes package, which is not installed "
            f"here (or lacks the file); run: {_INSTALL_LIFETIMES}"
        )
    import pandas as pd

    # The sample has two customer numbers, the master file's and its own; the papers use its own.
    has_own_number = which == "sample"
    table = pd.read_csv(
        path,
        sep=r"\s+",
        header=None,
        skiprows=0 if has_own_number else 1,
        names=[
            *(["master_id"] if has_own_number else []),
            "customer_id",
            "day",
            "quantity",
            "amount",
        ],
    )
    return pd.DataFrame(
        {
            "customer_id": table["customer_id"],
            "date": pd.to_datetime(table["day"].astype(str), format="%Y%m%d"),
            "quantity": table["quantity"],
            "amount": table["amount"],
        }
    )


def load_shop() -> Shop:
    """Find the generated shop: order lines with refunds and bad rows, and a customers table.

    The files are part of the repository, not of the installed package.

    Returns
    -------
    Shop
        The paths of its files.

    Raises
    ------
    UnreadableFileError
        If the package does not run from a checkout of the repository.

    Examples
    --------
    >>> import clv
    >>> shop = load_shop()
    >>> clv.read_transactions(shop.orders, **shop.columns).quality.rejected
    86
    """
    shop = _shop_at(_data_folder() / "shop")
    if not shop.orders.is_file():
        raise UnreadableFileError(
            f"the generated shop is not part of the installed package and {shop.orders} does not "
            "exist; clone the repository and install it with: pip install -e ."
        )
    return shop


def list_datasets() -> tuple[Dataset, ...]:
    """Every data set that can be loaded here or could be, and how.

    Examples
    --------
    >>> [dataset.name for dataset in list_datasets()]
    ['cdnow', 'cdnow-master', 'shop']
    """
    shop = _shop_at(_data_folder() / "shop").orders
    cdnow = {
        "source": "Fader & Hardie, from the lifetimes wheel",
        "licence": "none stated; free for research and teaching",
        "remedy": _INSTALL_LIFETIMES,
    }
    return (
        Dataset(
            name="cdnow",
            title="CDNOW, the 1/10 sample: 2,357 customers, 1997-01-01 to 1998-06-30, US dollars",
            loader='clv.datasets.load_cdnow("sample")',
            path=_cdnow_path("sample"),
            **cdnow,
        ),
        Dataset(
            name="cdnow-master",
            title="CDNOW, everybody: 23,570 customers, 1997-01-01 to 1998-06-30, US dollars",
            loader='clv.datasets.load_cdnow("master")',
            path=_cdnow_path("master"),
            **cdnow,
        ),
        Dataset(
            name="shop",
            title="a generated shop: order lines with refunds and bad rows, customers with "
            "channels, 2023-01-01 to 2025-06-30, euros",
            loader="clv.datasets.load_shop()",
            source="data/shop/generate.py",
            licence="CC0 1.0",
            path=shop if shop.is_file() else None,
            remedy="clone the repository and install it with: pip install -e .",
        ),
    )


def _cdnow_path(which: str) -> Path | None:
    # find_spec locates a top-level package without running any of it.
    spec = find_spec("lifetimes")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "datasets" / _CDNOW_FILES[which]
        if path.is_file():
            return path
    return None


def _data_folder() -> Path:
    return Path(__file__).parents[2] / "data"


def _shop_at(folder: Path) -> Shop:
    return Shop(folder / "orders.csv", folder / "customers.csv", folder / "orders_jalali.csv")

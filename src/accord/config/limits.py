"""Numbers that have limits, for the fields of settings."""

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Above0 = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Part = Annotated[float, Field(gt=0, lt=1)]
UpTo1 = Annotated[float, Field(ge=0, le=1)]

"""The JSON of BBC audiowaveform, which players such as peaks.js and wavesurfer.js read."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class WaveformResponse(BaseModel):
    """Peaks of an audio file."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "version": 2,
                "channels": 1,
                "sample_rate": 44100,
                "samples_per_pixel": 512,
                "bits": 8,
                "length": 3,
                "data": [-65, 63, -66, 64, -40, 41],
            }
        }
    )

    version: Literal[2] = 2
    channels: Literal[1] = 1
    sample_rate: int = Field(description="Samples per second of the audio.")
    samples_per_pixel: int = Field(description="Samples that one pair stands for.")
    bits: Literal[8] = 8
    length: int = Field(description="Pairs in `data`.")
    data: list[int] = Field(description="min, max, min, max…, each from -128 to 127.")

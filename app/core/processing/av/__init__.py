"""Video and audio: containers, durations, tags, posters, waveforms."""

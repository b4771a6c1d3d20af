"""The media plane: ICE-lite, DTLS-SRTP and forwarding of RTP without decoding, in worker processes.

Signaling drives a worker through `rtc.client`; everything else here runs inside the worker.
"""

/* ProcessPrng for Wine 8, whose bcryptprimitives.dll lacks it and without which Go programs do
 * not start. Built by .ci/platforms; never part of a program. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length); /* RtlGenRandom */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length)
{
	return SystemFunction036(data, (ULONG)length);
}
